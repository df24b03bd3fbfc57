"""Addresses of this app's API, below /api/v1/."""

from __future__ import annotations

from django.urls import URLPattern, path

from annotation import ai_api, campaign_api, desk_api, quality_api, review_api, statistics_api
from annotation import api_views as views

CAMPAIGN = "annotation/campaigns/<slug:slug>/"
TASK = "annotation/assignments/<uuid:pk>/"
DISAGREEMENT = "annotation/disagreements/<uuid:pk>/"

api_urlpatterns: list[URLPattern] = [
    path(f"{CAMPAIGN}next/", desk_api.NextView.as_view(), name="api_next"),
    path(TASK, desk_api.AssignmentView.as_view(), name="api_assignment"),
    path(f"{TASK}draft/", desk_api.DraftView.as_view(), name="api_draft"),
    path(f"{TASK}renew/", desk_api.RenewView.as_view(), name="api_renew"),
    path(f"{TASK}skip/", desk_api.SkipView.as_view(), name="api_skip"),
    path(f"{TASK}rankings/", desk_api.SubmitView.as_view(), name="api_submit"),
    path("annotation/rankings/", desk_api.MyRankingsView.as_view(), name="api_my_rankings"),
    path("annotation/rankings/<uuid:pk>/corrections/", desk_api.CorrectView.as_view(), name="api_correct"),
    path("annotation/campaigns/", views.CampaignsView.as_view(), name="api_campaigns"),
    path("annotation/campaigns/mine/", desk_api.MyCampaignsView.as_view(), name="api_my_campaigns"),
    path(CAMPAIGN, views.CampaignView.as_view(), name="api_campaign"),
    path(f"{CAMPAIGN}raters/", views.MembersView.as_view(), name="api_members"),
    path(f"{CAMPAIGN}raters/<str:username>/", views.MemberView.as_view(), name="api_member"),
    path(f"{CAMPAIGN}priorities/", views.PriorityView.as_view(), name="api_priorities"),
    path(f"{CAMPAIGN}progress/", views.ProgressView.as_view(), name="api_campaign_progress"),
    path(f"{CAMPAIGN}state/", views.StateView.as_view(), name="api_campaign_state"),
    path(f"{CAMPAIGN}prompts/", views.PromptsView.as_view(), name="api_campaign_prompts"),
    path(f"{CAMPAIGN}imports/", campaign_api.ImportsView.as_view(), name="api_campaign_imports"),
    path(f"{CAMPAIGN}clones/", campaign_api.CloneView.as_view(), name="api_campaign_clones"),
    path(f"{CAMPAIGN}invitations/", campaign_api.InvitationsView.as_view(), name="api_campaign_invitations"),
    path(
        f"{CAMPAIGN}invitations/<int:pk>/revocation/",
        campaign_api.RevokeView.as_view(),
        name="api_invitation_revocation",
    ),
    path(f"{CAMPAIGN}completions/", views.CompletionsView.as_view(), name="api_campaign_completions"),
    path(f"{CAMPAIGN}ai-feedback/", ai_api.FeedbackView.as_view(), name="api_campaign_ai_feedback"),
    path(f"{CAMPAIGN}ai-feedback/rest/", ai_api.RestView.as_view(), name="api_campaign_ai_rest"),
    path(f"{CAMPAIGN}snapshots/", views.SnapshotView.as_view(), name="api_campaign_snapshots"),
    path(f"{CAMPAIGN}statistics/", statistics_api.StatisticsView.as_view(), name="api_campaign_statistics"),
    path(f"{CAMPAIGN}costs/", statistics_api.CostsView.as_view(), name="api_campaign_costs"),
    path(f"{CAMPAIGN}quality/", quality_api.QualityView.as_view(), name="api_campaign_quality"),
    path(f"{CAMPAIGN}golds/", quality_api.GoldsView.as_view(), name="api_campaign_golds"),
    path(f"{CAMPAIGN}golds/<int:pk>/retirement/", quality_api.RetirementView.as_view(), name="api_gold_retirement"),
    path(f"{CAMPAIGN}standings/", quality_api.StandingsView.as_view(), name="api_standings"),
    path(f"{CAMPAIGN}standings/<str:username>/", quality_api.StandingView.as_view(), name="api_standing"),
    path("annotation/disagreements/", review_api.DisagreementsView.as_view(), name="api_disagreements"),
    path(DISAGREEMENT, review_api.DisagreementView.as_view(), name="api_disagreement"),
    path(f"{DISAGREEMENT}adjudications/", review_api.AdjudicationsView.as_view(), name="api_adjudications"),
    path(f"{DISAGREEMENT}gold/", review_api.TaskGoldView.as_view(), name="api_task_gold"),
    path(
        "annotation/adjudications/<uuid:pk>/withdrawal/",
        review_api.WithdrawalView.as_view(),
        name="api_adjudication_withdrawal",
    ),
    path("annotation/rankings/<uuid:pk>/remarks/", review_api.RemarksView.as_view(), name="api_remarks"),
    path("annotation/appeals/", review_api.AppealsView.as_view(), name="api_appeals"),
    path("annotation/appeals/<uuid:pk>/decision/", review_api.DecisionView.as_view(), name="api_appeal_decision"),
]
