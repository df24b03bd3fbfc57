"""People's judgement: campaigns of prompts, K completions a task, slots leased to raters, weak orders that come back."""

from __future__ import annotations

from annotation.models.assignments import ASSIGNMENT_TRANSITIONS, HOLDS_SLOT, Assignment, AssignmentState
from annotation.models.campaigns import (
    CAMPAIGN_TRANSITIONS,
    Campaign,
    CampaignState,
    CampaignTally,
    Guideline,
    GuidelineReading,
    Membership,
    Standing,
)
from annotation.models.imports import Import, ImportState
from annotation.models.invitations import Invitation, JoinAttempt, Redemption
from annotation.models.prompts import Completion, Prompt, Split
from annotation.models.rankings import CannotRank, Ranking
from annotation.models.tasks import RankingTask, Slot, TaskCompletion, TaskKind

__all__ = [
    "ASSIGNMENT_TRANSITIONS",
    "CAMPAIGN_TRANSITIONS",
    "HOLDS_SLOT",
    "Assignment",
    "AssignmentState",
    "Campaign",
    "CampaignState",
    "CampaignTally",
    "CannotRank",
    "Completion",
    "Guideline",
    "GuidelineReading",
    "Import",
    "ImportState",
    "Invitation",
    "JoinAttempt",
    "Membership",
    "Prompt",
    "Ranking",
    "RankingTask",
    "Redemption",
    "Slot",
    "Split",
    "Standing",
    "TaskCompletion",
    "TaskKind",
]
