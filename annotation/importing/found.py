"""What a file comes to, some rows at a time: what is new, counted and made; and what the database has already."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from annotation.models import Assignment, Completion, Prompt, Ranking, RankingTask, Slot, TaskCompletion
from annotation.services.disagreement import note_agreements


@dataclass(slots=True)
class Counts:
    """What is new; `known_` is what was here already or stands twice in the file."""

    prompts: int = 0
    known_prompts: int = 0
    completions: int = 0
    known_completions: int = 0
    tasks: int = 0
    known_tasks: int = 0
    rankings: int = 0
    known_rankings: int = 0
    surplus: int = 0  # of `rankings`: beyond the overlap, kept outside of it
    raters: int = 0


@dataclass(slots=True)
class New:
    """Rows of the database that a batch makes, in the order in which they are written."""

    prompts: list[Prompt] = field(default_factory=list)
    completions: list[Completion] = field(default_factory=list)
    tasks: list[RankingTask] = field(default_factory=list)
    entries: list[TaskCompletion] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    taken: list[Slot] = field(default_factory=list)  # slots of tasks that were here
    assignments: list[Assignment] = field(default_factory=list)
    edits: list[Completion] = field(default_factory=list)
    rankings: list[Ranking] = field(default_factory=list)

    def write(self) -> None:
        """Within the caller's transaction."""
        Prompt.objects.bulk_create(self.prompts)
        Completion.objects.bulk_create(self.completions)
        RankingTask.objects.bulk_create(self.tasks)
        TaskCompletion.objects.bulk_create(self.entries)
        Slot.objects.bulk_create(self.slots)
        Slot.objects.filter(pk__in=[slot.pk for slot in self.taken], is_free=True).update(is_free=False)
        Assignment.objects.bulk_create(self.assignments)
        Completion.objects.bulk_create(self.edits)
        Ranking.objects.bulk_create(self.rankings)
        note_agreements({ranking.task_id for ranking in self.rankings})


@dataclass(slots=True)
class Here:
    """What the database has of some rows."""

    prompts: dict[str, uuid.UUID] = field(default_factory=dict)
    tasks: dict[uuid.UUID, RankingTask] = field(default_factory=dict)
    slots: dict[uuid.UUID, list[Slot]] = field(default_factory=dict)
    rankings: dict[uuid.UUID, bytes] = field(default_factory=dict)
    loose: set[uuid.UUID] = field(default_factory=set)
