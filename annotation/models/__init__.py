"""People's judgement: campaigns of prompts, K completions a task, slots leased to raters, weak orders that come back."""

from __future__ import annotations

from annotation.models.ai import AIPreference
from annotation.models.assignments import ASSIGNMENT_TRANSITIONS, HOLDS_SLOT, SEEN, Assignment, AssignmentState
from annotation.models.campaigns import (
    CAMPAIGN_TRANSITIONS,
    Campaign,
    CampaignState,
    CampaignTally,
    Guideline,
    GuidelineReading,
    Membership,
    SkipMode,
    Standing,
)
from annotation.models.figures import Figures
from annotation.models.imports import Import, ImportState
from annotation.models.invitations import Invitation, JoinAttempt, Redemption
from annotation.models.money import Per, Purse, Tariff
from annotation.models.prompts import Completion, Prompt, Split
from annotation.models.quality import (
    STANDING_TRANSITIONS,
    Appeal,
    AppealState,
    Cause,
    GoldAnswer,
    QualityPlan,
    StandingChange,
    plan_of,
)
from annotation.models.queues import Bookmark, Queue
from annotation.models.rankings import CannotRank, Ranking
from annotation.models.reviews import Adjudication, Remark
from annotation.models.tasks import RankingTask, Slot, TaskCompletion, TaskKind
from annotation.models.votes import RunQuestion

__all__ = [
    "ASSIGNMENT_TRANSITIONS",
    "CAMPAIGN_TRANSITIONS",
    "HOLDS_SLOT",
    "SEEN",
    "STANDING_TRANSITIONS",
    "AIPreference",
    "Adjudication",
    "Appeal",
    "AppealState",
    "Assignment",
    "AssignmentState",
    "Bookmark",
    "Campaign",
    "CampaignState",
    "CampaignTally",
    "CannotRank",
    "Cause",
    "Completion",
    "Figures",
    "GoldAnswer",
    "Guideline",
    "GuidelineReading",
    "Import",
    "ImportState",
    "Invitation",
    "JoinAttempt",
    "Membership",
    "Per",
    "Prompt",
    "Purse",
    "QualityPlan",
    "Queue",
    "Ranking",
    "RankingTask",
    "Redemption",
    "Remark",
    "RunQuestion",
    "SkipMode",
    "Slot",
    "Split",
    "Standing",
    "StandingChange",
    "Tariff",
    "TaskCompletion",
    "TaskKind",
    "plan_of",
]
