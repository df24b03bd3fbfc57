"""Addresses of the pages of campaigns and of raters."""

from __future__ import annotations

from django.urls import path

from annotation import (
    campaign_deeds,
    campaign_views,
    guideline_views,
    import_views,
    invitation_views,
    preview_views,
    quality_views,
    review_views,
    rule_deeds,
    standing_views,
    statistics_views,
    text_views,
    views,
    work_views,
)

urlpatterns = [
    path("rank/", views.rank_any, name="rank_any"),
    path("rank/<slug:slug>/", views.rank, name="rank"),
    path("rank/<slug:slug>/submit/", views.rank_submit, name="rank_submit"),
    path("rank/<slug:slug>/ahead/", views.rank_ahead, name="rank_ahead"),
    path("rank/<slug:slug>/give-back/", views.rank_give_back, name="rank_give_back"),
    path("rank/<slug:slug>/draft/", views.rank_draft, name="rank_draft"),
    path("rank/<slug:slug>/guideline/read/", guideline_views.rank_guideline_read, name="rank_guideline_read"),
    path("rank/<slug:slug>/difference/", views.rank_difference, name="rank_difference"),
    path("rank/<slug:slug>/renew/", views.rank_renew, name="rank_renew"),
    path("rank/<slug:slug>/skip/", views.rank_skip, name="rank_skip"),
    path("rank/<slug:slug>/compare/<uuid:assignment_id>/", text_views.rank_compare, name="rank_compare"),
    path("campaigns/", campaign_views.campaign_list, name="campaigns"),
    path("campaigns/new/", campaign_views.campaign_new, name="campaign_new"),
    path("campaigns/<slug:slug>/", campaign_views.campaign_detail, name="campaign"),
    path("campaigns/<slug:slug>/state/", campaign_deeds.campaign_state, name="campaign_state"),
    path("campaigns/<slug:slug>/clone/", campaign_views.campaign_clone, name="campaign_clone"),
    path("campaigns/<slug:slug>/imports/", import_views.campaign_imports, name="campaign_imports"),
    path("campaigns/<slug:slug>/imports/<uuid:import_id>/", import_views.campaign_import, name="campaign_import"),
    path(
        "campaigns/<slug:slug>/imports/<uuid:import_id>/drop/",
        import_views.campaign_import_drop,
        name="campaign_import_drop",
    ),
    path("campaigns/<slug:slug>/completions/", campaign_deeds.campaign_completions, name="campaign_completions"),
    path("campaigns/<slug:slug>/snapshots/", campaign_deeds.campaign_snapshot, name="campaign_snapshot"),
    path("campaigns/<slug:slug>/guideline/", guideline_views.campaign_guideline, name="campaign_guideline"),
    path("campaigns/<slug:slug>/guideline/examples/", guideline_views.campaign_example, name="campaign_example"),
    path(
        "campaigns/<slug:slug>/guideline/examples/<int:index>/remove/",
        guideline_views.campaign_example_remove,
        name="campaign_example_remove",
    ),
    path("campaigns/<slug:slug>/invitations/", invitation_views.campaign_invitations, name="campaign_invitations"),
    path(
        "campaigns/<slug:slug>/invitations/<int:invitation_id>/revoke/",
        invitation_views.campaign_invitation_revoke,
        name="campaign_invitation_revoke",
    ),
    path("join/<str:token>/", invitation_views.join_by_link, name="join"),
    path("campaigns/<slug:slug>/preview/", preview_views.campaign_preview, name="campaign_preview"),
    path(
        "campaigns/<slug:slug>/preview/<uuid:task_id>/",
        preview_views.campaign_preview_task,
        name="campaign_preview_task",
    ),
    path(
        "campaigns/<slug:slug>/preview/<uuid:task_id>/compare/",
        preview_views.campaign_preview_compare,
        name="campaign_preview_compare",
    ),
    path(
        "campaigns/<slug:slug>/preview/<uuid:task_id>/difference/",
        preview_views.campaign_preview_difference,
        name="campaign_preview_difference",
    ),
    path("campaigns/<slug:slug>/rules/", rule_deeds.campaign_rules, name="campaign_rules"),
    path("campaigns/<slug:slug>/priority/", rule_deeds.campaign_priority, name="campaign_priority"),
    path(
        "campaigns/<slug:slug>/raters/<str:username>/limit/",
        rule_deeds.campaign_rater_limit,
        name="campaign_rater_limit",
    ),
    path(
        "campaigns/<slug:slug>/raters/<str:username>/group/",
        rule_deeds.campaign_rater_group,
        name="campaign_rater_group",
    ),
    path("campaigns/<slug:slug>/raters/", campaign_deeds.campaign_raters, name="campaign_raters"),
    path(
        "campaigns/<slug:slug>/raters/<str:username>/remove/",
        campaign_deeds.campaign_rater_remove,
        name="campaign_rater_remove",
    ),
    path("campaigns/<slug:slug>/statistics/", statistics_views.campaign_statistics, name="campaign_statistics"),
    path(
        "campaigns/<slug:slug>/rater-figures/", statistics_views.campaign_rater_figures, name="campaign_rater_figures"
    ),
    path("campaigns/<slug:slug>/costs/", statistics_views.campaign_costs, name="campaign_costs"),
    path("campaigns/<slug:slug>/quality/", quality_views.campaign_quality, name="campaign_quality"),
    path("campaigns/<slug:slug>/quality/plan/", quality_views.quality_plan, name="quality_plan"),
    path("campaigns/<slug:slug>/quality/gold/", quality_views.quality_gold, name="quality_gold"),
    path(
        "campaigns/<slug:slug>/quality/gold/<int:gold_id>/retire/", quality_views.quality_retire, name="quality_retire"
    ),
    path(
        "campaigns/<slug:slug>/quality/raters/<str:username>/",
        quality_views.quality_standing,
        name="quality_standing",
    ),
    path("review/", review_views.review, name="review"),
    path("review/tasks/<uuid:task_id>/", review_views.review_task, name="review_task"),
    path("review/tasks/<uuid:task_id>/settle/", review_views.review_settle, name="review_settle"),
    path("review/tasks/<uuid:task_id>/unsettle/", review_views.review_unsettle, name="review_unsettle"),
    path("review/tasks/<uuid:task_id>/gold/", review_views.review_gold, name="review_gold"),
    path("review/rankings/<uuid:ranking_id>/remark/", review_views.review_remark, name="review_remark"),
    path("review/appeals/<uuid:appeal_id>/", review_views.review_appeal, name="review_appeal"),
    path("leaving/", text_views.leaving, name="leaving"),
    path("my-work/", work_views.my_work, name="my_work"),
    path("my-work/keys/", work_views.my_keys, name="my_keys"),
    path("my-work/<slug:slug>/test/", standing_views.test_explained, name="test_explained"),
    path("my-work/<slug:slug>/appeal/", standing_views.appeal_made, name="appeal"),
    path("my-work/<uuid:ranking_id>/", work_views.rank_correct, name="rank_correct"),
]
