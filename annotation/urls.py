"""Addresses of the pages of campaigns and of raters."""

from __future__ import annotations

from django.urls import path

from annotation import (
    campaign_deeds,
    campaign_views,
    quality_views,
    review_views,
    standing_views,
    statistics_views,
    text_views,
    views,
    work_views,
)

urlpatterns = [
    path("campaigns/", campaign_views.campaign_list, name="campaigns"),
    path("campaigns/new/", campaign_views.campaign_new, name="campaign_new"),
    path("campaigns/<slug:slug>/", campaign_views.campaign_detail, name="campaign"),
    path("campaigns/<slug:slug>/state/", campaign_deeds.campaign_state, name="campaign_state"),
    path("campaigns/<slug:slug>/prompts/", campaign_deeds.campaign_prompts, name="campaign_prompts"),
    path("campaigns/<slug:slug>/completions/", campaign_deeds.campaign_completions, name="campaign_completions"),
    path("campaigns/<slug:slug>/snapshots/", campaign_deeds.campaign_snapshot, name="campaign_snapshot"),
    path("campaigns/<slug:slug>/guideline/", campaign_deeds.campaign_guideline, name="campaign_guideline"),
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
    path("rank/", views.rank_any, name="rank_any"),
    path("rank/<slug:slug>/", views.rank, name="rank"),
    path("rank/<slug:slug>/submit/", views.rank_submit, name="rank_submit"),
    path("rank/<slug:slug>/ahead/", views.rank_ahead, name="rank_ahead"),
    path("rank/<slug:slug>/give-back/", views.rank_give_back, name="rank_give_back"),
    path("rank/<slug:slug>/draft/", views.rank_draft, name="rank_draft"),
    path("rank/<slug:slug>/difference/", views.rank_difference, name="rank_difference"),
    path("rank/<slug:slug>/renew/", views.rank_renew, name="rank_renew"),
    path("rank/<slug:slug>/skip/", views.rank_skip, name="rank_skip"),
    path("rank/<slug:slug>/compare/<uuid:assignment_id>/", text_views.rank_compare, name="rank_compare"),
    path("leaving/", text_views.leaving, name="leaving"),
    path("my-work/", work_views.my_work, name="my_work"),
    path("my-work/keys/", work_views.my_keys, name="my_keys"),
    path("my-work/<slug:slug>/test/", standing_views.test_explained, name="test_explained"),
    path("my-work/<slug:slug>/appeal/", standing_views.appeal_made, name="appeal"),
    path("my-work/<uuid:ranking_id>/", work_views.rank_correct, name="rank_correct"),
]
