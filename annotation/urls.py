"""Addresses of the pages of campaigns and of raters."""

from __future__ import annotations

from django.urls import path

from annotation import campaign_deeds, campaign_views, rule_deeds, text_views, views, work_views

urlpatterns = [
    path("campaigns/", campaign_views.campaign_list, name="campaigns"),
    path("campaigns/new/", campaign_views.campaign_new, name="campaign_new"),
    path("campaigns/<slug:slug>/", campaign_views.campaign_detail, name="campaign"),
    path("campaigns/<slug:slug>/state/", campaign_deeds.campaign_state, name="campaign_state"),
    path("campaigns/<slug:slug>/prompts/", campaign_deeds.campaign_prompts, name="campaign_prompts"),
    path("campaigns/<slug:slug>/completions/", campaign_deeds.campaign_completions, name="campaign_completions"),
    path("campaigns/<slug:slug>/snapshots/", campaign_deeds.campaign_snapshot, name="campaign_snapshot"),
    path("campaigns/<slug:slug>/guideline/", campaign_deeds.campaign_guideline, name="campaign_guideline"),
    path("campaigns/<slug:slug>/rules/", rule_deeds.campaign_rules, name="campaign_rules"),
    path("campaigns/<slug:slug>/priority/", rule_deeds.campaign_priority, name="campaign_priority"),
    path(
        "campaigns/<slug:slug>/raters/<str:username>/limit/",
        rule_deeds.campaign_rater_limit,
        name="campaign_rater_limit",
    ),
    path("campaigns/<slug:slug>/raters/", campaign_deeds.campaign_raters, name="campaign_raters"),
    path(
        "campaigns/<slug:slug>/raters/<str:username>/remove/",
        campaign_deeds.campaign_rater_remove,
        name="campaign_rater_remove",
    ),
    path("rank/", views.rank_any, name="rank_any"),
    path("rank/<slug:slug>/", views.rank, name="rank"),
    path("rank/<slug:slug>/submit/", views.rank_submit, name="rank_submit"),
    path("rank/<slug:slug>/draft/", views.rank_draft, name="rank_draft"),
    path("rank/<slug:slug>/difference/", views.rank_difference, name="rank_difference"),
    path("rank/<slug:slug>/renew/", views.rank_renew, name="rank_renew"),
    path("rank/<slug:slug>/skip/", views.rank_skip, name="rank_skip"),
    path("rank/<slug:slug>/compare/<uuid:assignment_id>/", text_views.rank_compare, name="rank_compare"),
    path("leaving/", text_views.leaving, name="leaving"),
    path("my-work/", work_views.my_work, name="my_work"),
    path("my-work/<uuid:ranking_id>/", work_views.rank_correct, name="rank_correct"),
]
