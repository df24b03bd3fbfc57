"""A file brought into a campaign: a dry run that says what would come of it and writes nothing, and the import itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from django.db import transaction
from django.utils.translation import gettext

from accounts.hints import hint
from accounts.models import User
from annotation.attributes import Attribute, as_json, attributes_of
from annotation.importing.checking import Row
from annotation.importing.complaints import BadFile, Complaint, Complaints
from annotation.importing.found import Counts
from annotation.importing.reading import Source, opened
from annotation.importing.taking import BATCH, Taking
from annotation.models import Campaign
from annotation.rules import MOST_RATERS
from annotation.services.campaigns import create_campaign
from annotation.services.completions import in_batches, make_tasks
from annotation.services.queues import begin_anew
from annotation.services.texts import BadLine
from audit.services import record

MOST_SAMPLES = 3
LONGEST_SAMPLE = 160  # characters


@dataclass(frozen=True, slots=True)
class Sample:
    asked: str
    texts: int
    orders: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a file comes to. `made_tasks` are put together from single completions; a dry run can't tell how many."""

    format: str
    unit: str
    num_rows: int
    counts: Counts
    num_bad: int
    lines: tuple[Complaint, ...]
    notes: tuple[str, ...]
    unread: tuple[str, ...]
    samples: tuple[Sample, ...]
    largest: int = 0  # completions of a row
    most_raters: int = 0  # of a row
    made_tasks: int = 0


@dataclass(slots=True)
class Tally:
    num_rows: int = 0
    largest: int = 0
    most_raters: int = 0
    samples: list[Sample] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.num_rows += 1
        self.largest = max(self.largest, len(row.completions))
        self.most_raters = max(self.most_raters, len(row.judgements))
        if len(self.samples) < MOST_SAMPLES:
            asked = row.messages[-1]["content"][:LONGEST_SAMPLE]
            self.samples.append(Sample(asked, len(row.completions), len(row.judgements)))


def dry_run(path: Path, *, campaign: Campaign, format: str = "", is_simulated: bool = False) -> Report:
    """Reads the whole file and writes nothing. Raises `NotFound`, `BadFile`; bad lines are in the report."""
    with opened(path, format=format, attributes=attributes_of(campaign.attributes)) as source:
        taking = Taking(campaign, is_simulated=is_simulated, is_dry=True)
        return run_through(source, taking=taking)


def bring(
    path: Path,
    *,
    campaign: Campaign,
    user: User | None,
    format: str = "",
    is_simulated: bool = False,
    leaves_bad_out: bool = False,
) -> Report:
    """Imports all of the file or, where a line is bad, none of it; with `leaves_bad_out` all but the bad lines.

    Every new task has the campaign's `overlap` of slots; those that the file's rankings leave free are for raters here, and
    rankings beyond them are kept as surplus. Raises `NotFound`, `BadFile`, `BadLines`.
    """
    with opened(path, format=format, attributes=attributes_of(campaign.attributes)) as source, transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)  # one import at a time
        taking = Taking(campaign, is_simulated=is_simulated, is_dry=False)
        report = run_through(source, taking=taking, refuses=not leaves_bad_out)
        made = make_tasks(campaign) if taking.loose else 0
        begin_anew(taking.queues.values())
        write_down(report, campaign=campaign, user=user, made=made)
    return replace(report, made_tasks=made)


def run_through(source: Source, *, taking: Taking, refuses: bool = False) -> Report:
    complaints, tally = Complaints(source.unit), Tally()
    for rows in in_batches(good(source, complaints=complaints, tally=tally), BATCH):
        new = taking.take(rows, complaints=complaints)
        if not taking.is_dry and not (refuses and complaints.told):
            new.write()
    if refuses:
        complaints.refuse()
    if not tally.num_rows and not complaints.told:
        raise BadFile(gettext("The file has no row that says anything here."), code="no_rows")
    return Report(
        format=source.reader.name, unit=source.unit, num_rows=tally.num_rows,
        counts=taking.counts, num_bad=complaints.num_bad, lines=tuple(complaints.told), notes=tuple(source.reader.notes),
        unread=tuple(sorted(source.reader.unread)), samples=tuple(tally.samples), largest=tally.largest,
        most_raters=tally.most_raters,
    )  # fmt: skip


def good(source: Source, *, complaints: Complaints, tally: Tally) -> Iterator[Row]:
    for number, row in source.rows:
        if isinstance(row, BadLine):
            complaints.add(number, row)
        else:
            tally.add(row)
            yield row


def write_down(report: Report, *, campaign: Campaign, user: User | None, made: int) -> None:
    counts = report.counts
    if counts.prompts or counts.completions or counts.tasks or counts.rankings:
        record(
            "campaign.imported", actor=user, target=campaign, format=report.format, prompts=counts.prompts,
            completions=counts.completions, tasks=counts.tasks + made, rankings=counts.rankings, left_out=report.num_bad,
        )  # fmt: skip
        hint(f"campaign:{campaign.pk}")


# Rankings into a campaign of their own


@dataclass(frozen=True, slots=True)
class Imported:
    campaign: str
    num_tasks: int
    num_rankings: int
    num_known: int  # rankings that were here already
    num_raters: int


def import_rankings(
    path: Path,
    *,
    name: str,
    user: User | None,
    overlap: int = 1,
    is_simulated: bool = False,
    attributes: Sequence[Attribute] = (),
    format: str = "",
    leaves_bad_out: bool = False,
) -> Imported:
    """Imports into the campaign called `name`, which is made as a draft if there is none, as wide as the file needs.

    `attributes` are those of a campaign that is made; one that exists keeps its own. Raises `NotFound`, `BadFile`,
    `BadLines`, `BadCampaign`.
    """
    campaign = Campaign.objects.filter(name=name.strip()).first()
    if campaign is not None:
        report = bring(
            path, campaign=campaign, user=user, format=format, is_simulated=is_simulated, leaves_bad_out=leaves_bad_out
        )
        return told(campaign, report)
    first = dry_run(path, campaign=Campaign(name=name, attributes=as_json(attributes)), format=format)
    if first.lines and not leaves_bad_out:
        refuse(first)
    if not first.num_rows:
        raise BadFile(gettext("The file has no row that can be imported."), code="no_rows")
    with transaction.atomic():
        campaign = create_campaign(
            name, k=max(first.largest, 2), overlap=min(max(overlap, first.most_raters), MOST_RATERS), guideline="",
            user=user, attributes=as_json(attributes),
        )  # fmt: skip
        report = bring(
            path, campaign=campaign, user=user, format=first.format, is_simulated=is_simulated,
            leaves_bad_out=leaves_bad_out,
        )  # fmt: skip
    return told(campaign, report)


def refuse(report: Report) -> None:
    Complaints(report.unit, list(report.lines), report.num_bad).refuse()


def told(campaign: Campaign, report: Report) -> Imported:
    counts = report.counts
    tasks = counts.tasks + report.made_tasks
    return Imported(campaign.slug, tasks, counts.rankings, counts.known_rankings, counts.raters)


def as_dict(report: Report) -> dict[str, object]:
    """For JSON."""
    return asdict(report)
