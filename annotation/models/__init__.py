"""People's judgement: campaigns of prompts, K completions a task, slots leased to raters, weak orders that come back."""

from __future__ import annotations

from annotation.models.assignments import ASSIGNMENT_TRANSITIONS, HOLDS_SLOT, SEEN, Assignment, AssignmentState
from annotation.models.campaigns import (
    CAMPAIGN_TRANSITIONS,
    Campaign,
    CampaignState,
    Guideline,
    Membership,
    SkipMode,
    Standing,
)
from annotation.models.prompts import Completion, Prompt, Split
from annotation.models.queues import Bookmark, Queue
from annotation.models.rankings import CannotRank, Ranking
from annotation.models.tasks import RankingTask, Slot, TaskCompletion, TaskKind

__all__ = [
    "ASSIGNMENT_TRANSITIONS",
    "CAMPAIGN_TRANSITIONS",
    "HOLDS_SLOT",
    "SEEN",
    "Assignment",
    "AssignmentState",
    "Bookmark",
    "Campaign",
    "CampaignState",
    "CannotRank",
    "Completion",
    "Guideline",
    "Membership",
    "Prompt",
    "Queue",
    "Ranking",
    "RankingTask",
    "SkipMode",
    "Slot",
    "Split",
    "Standing",
    "TaskCompletion",
    "TaskKind",
]
