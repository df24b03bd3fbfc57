"""A program: raters at once on a database of its own, and what came of it as JSON. Run by test_races."""

from __future__ import annotations

import json
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import django

django.setup()

from django.core.files.uploadedfile import SimpleUploadedFile  # noqa: E402
from django.db import connection  # noqa: E402
from django.db.models import Count, F, Q  # noqa: E402

from accounts.errors import UserError  # noqa: E402
from accounts.models import Role, User  # noqa: E402
from annotation.models import (  # noqa: E402
    HOLDS_SLOT,
    SEEN,
    Assignment,
    Campaign,
    Membership,
    Ranking,
    RankingTask,
    RunQuestion,
    Slot,
    StandingChange,
)
from annotation.services.ahead import lease_ahead  # noqa: E402
from annotation.services.assign import lease_next  # noqa: E402
from annotation.services.imports import check, confirm  # noqa: E402
from annotation.services.invitations import Joined, invite, join, join_as_new  # noqa: E402
from annotation.services.judge import Submission  # noqa: E402
from annotation.services.leases import skip  # noqa: E402
from annotation.services.rank import correct_ranking, submit_ranking  # noqa: E402
from annotation.services.review import adjudicate  # noqa: E402
from annotation.services.rules import change_rules  # noqa: E402
from annotation.services.standing import pause  # noqa: E402
from annotation.services.votes import attend  # noqa: E402
from tests.annotation.arrange import a_campaign, a_person, a_submission, run_out  # noqa: E402
from tests.annotation.asking_runs import a_sheet, an_asking_run, an_empty_campaign  # noqa: E402
from tests.annotation.checks import a_plan, gold_of, rank_next  # noqa: E402

ORDERS = ("a>b>c", "c>b>a", "b>a=c", "a=b=c")


def at_once(*deeds: Callable[[], Any]) -> list[Any]:
    """Each in a thread of its own, all let loose together; what it returned, or the code of its refusal."""
    gate = threading.Barrier(len(deeds))
    results: list[Any] = [None] * len(deeds)

    def run(i: int, deed: Callable[[], Any]) -> None:
        try:
            gate.wait()
            results[i] = deed()
        except UserError as error:
            results[i] = error.code
        except Exception as error:  # shown by the test
            results[i] = f"{type(error).__name__}: {error}"
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def most_held(campaigns: str = "") -> int:
    """The most slots of one task that are live or done, seen in one statement; of campaigns whose names begin so."""
    held = Count("assignments", filter=Q(assignments__state__in=HOLDS_SLOT))
    tasks = RankingTask.objects.filter(campaign__name__startswith=campaigns)
    return max(tasks.order_by().annotate(held=held).values_list("held", flat=True), default=0)


def people(prefix: str, count: int) -> list[User]:
    return [a_person(f"{prefix}-{i}") for i in range(count)]


def one_task_for_all() -> list[dict[str, Any]]:
    """Twelve raters ask at once for a task that three may rank; five times."""
    told = []
    for number in range(5):
        raters = people(f"crowd{number}", 12)
        campaign = a_campaign(raters=raters, num_prompts=1, overlap=3, name=f"Crowd {number}")
        leases = at_once(*(partial(lease_next, campaign, rater=rater) for rater in raters))
        told.append(
            {
                "leases": sum(isinstance(lease, Assignment) for lease in leases),
                "none": sum(lease is None for lease in leases),
                "slots": len({lease.slot_id for lease in leases if isinstance(lease, Assignment)}),
            }
        )
    return told


def questions_taken_in_at_once() -> list[dict[str, Any]]:
    """Four workers bring one sheet of three questions to the same raters, as if each held the run; three times."""
    told = []
    for number in range(3):
        campaign = an_empty_campaign(a_person(f"voter-{number}"), name=f"Votes {number}")
        run = an_asking_run(campaign)
        a_sheet(run, *(["a", "b", "c", "d"],) * 3)
        results = at_once(*[partial(attend, run)] * 4)
        attend(run)
        questions = RunQuestion.objects.filter(run=run)
        told.append(
            {
                "questions": questions.count(),
                "tasks": RankingTask.objects.filter(campaign=campaign).count(),
                "texts": questions.aggregate(n=Count("task__entries"))["n"],
                "refused": sorted({str(result).split(":")[0] for result in results if result is not None}),
            }
        )
    return told


def one_rater_many_tabs() -> dict[str, Any]:
    rater = a_person("tabs")
    campaign = a_campaign(raters=[rater], num_prompts=5, name="Tabs")
    leases = at_once(*[lambda: str(lease_next(campaign, rater=rater).pk)] * 8)
    first = Assignment.objects.get(rater=rater)
    ahead = at_once(*[lambda: str(lease_ahead(first, rater=rater).pk)] * 8)
    return {
        "different": len(set(leases)),
        "different_ahead": len(set(ahead)),
        "live": Assignment.objects.filter(rater=rater).count(),
    }


def double_submits() -> dict[str, Any]:
    rater = a_person("double")
    campaign = a_campaign(raters=[rater], num_prompts=2, name="Double")
    first, same = lease_next(campaign, rater=rater), a_submission("a>b>c")
    answers = at_once(*[lambda: str(submit_ranking(first, rater=rater, submission=same).pk)] * 8)
    second = lease_next(campaign, rater=rater)
    tabs = at_once(
        *(
            lambda line=line: str(submit_ranking(second, rater=rater, submission=a_submission(line)).pk)
            for line in ORDERS * 2
        )
    )
    ranking = Ranking.objects.get(assignment=second)
    fixes = at_once(
        *(lambda: str(correct_ranking(ranking, rater=rater, submission=a_submission("b>c>a")).pk) for _ in range(8))
    )
    return {
        "answers": sorted(set(answers)),
        "stored": [str(pk) for pk in Ranking.objects.filter(assignment=first).values_list("pk", flat=True)],
        "tabs": Counter("row" if answer == str(ranking.pk) else answer for answer in tabs),
        "fixes": Counter(fix if fix == "superseded" else "row" for fix in fixes),
        "live": Ranking.objects.filter(assignment=second, is_live=True).count(),
    }


def a_busy_day() -> dict[str, Any]:
    """Eight raters, thirty tasks wanted three times; some click twice, skip, walk away, or come back late."""
    raters = people("busy", 8)
    campaign = a_campaign(raters=raters, num_prompts=30, overlap=3, name="Busy")
    over, stop = [], threading.Event()

    def watch() -> int:
        while not stop.wait(0.005):
            over.append(most_held())
        return max(over)

    def finish() -> list[Any]:
        try:
            return at_once(
                *(
                    lambda i=i, rater=rater: a_day(campaign, rater, lot=random.Random(i))
                    for i, rater in enumerate(raters)
                )
            )
        finally:
            stop.set()

    most, days = at_once(watch, finish)
    held = Assignment.objects.filter(slot__campaign=campaign, state__in=HOLDS_SLOT)
    twice = (
        Ranking.objects.filter(task__campaign=campaign, is_live=True).values("task", "rater").annotate(n=Count("pk"))
    )
    acknowledged = [pk for day in days if isinstance(day, list) for pk in day]
    return {
        "most": most,
        "looks": len(over),
        "days": [day if isinstance(day, str) else len(day) for day in days],
        "acknowledged": len(set(acknowledged)),
        "stored": Ranking.objects.filter(task__campaign=campaign).count(),
        "twice": twice.filter(n__gt=1).count(),
        "free_but_held": Slot.objects.filter(campaign=campaign, is_free=True, assignments__in=held).count(),
        "taken_by_nobody": Slot.objects.filter(campaign=campaign, is_free=False).exclude(assignments__in=held).count(),
        "states": dict(Counter(Assignment.objects.filter(slot__campaign=campaign).values_list("state", flat=True))),
    }


def pausing_and_submitting() -> list[dict[str, Any]]:
    """A rater submits and asks for more while an admin pauses her, and a reviewer settles what she ranks; ten times."""
    told = []
    grace = a_person("pausing-admin", role=Role.ADMIN)
    for number in range(10):
        rater, other = people(f"pausing{number}", 2)
        campaign = a_campaign(raters=[rater, other], num_prompts=3, name=f"Pausing {number}")
        first = lease_next(campaign, rater=rater)
        stop = partial(pause, campaign, rater=rater, reason="Wait.", user=grace)
        answers = at_once(
            lambda first=first, rater=rater: submit_ranking(first, rater=rater, submission=a_submission()).pk,
            lambda campaign=campaign, rater=rater: lease_next(campaign, rater=rater),
            stop,
            stop,
            lambda first=first, grace=grace: adjudicate(first.task, line="a > b > c", reason="", user=grace).pk,
        )
        held = Assignment.objects.filter(slot__campaign=campaign, state__in=HOLDS_SLOT)
        told.append(
            {
                "refused": [answer for answer in answers if isinstance(answer, str)],
                "stored": Ranking.objects.filter(rater=rater).count(),
                "standing": Membership.objects.get(campaign=campaign, user=rater).standing,
                "pauses": StandingChange.objects.filter(membership__campaign=campaign).count(),
                "on_her_desk": Assignment.objects.filter(rater=rater, state="live").count(),
                "free_but_held": Slot.objects.filter(campaign=campaign, is_free=True, assignments__in=held).count(),
                "taken_by_nobody": Slot.objects.filter(campaign=campaign, is_free=False)
                .exclude(assignments__in=held)
                .count(),
            }
        )
    return told


def two_rankings_at_once() -> list[float | None]:
    """Two raters submit the same task together: its agreement knows of both."""
    told = []
    for number in range(10):
        raters = people(f"agreeing{number}", 2)
        campaign = a_campaign(raters=raters, num_prompts=1, name=f"Agreeing {number}")
        leases = [lease_next(campaign, rater=rater) for rater in raters]
        at_once(
            *(
                lambda lease=lease, rater=rater: submit_ranking(lease, rater=rater, submission=a_submission()).pk
                for lease, rater in zip(leases, raters, strict=True)
            )
        )
        told.append(RankingTask.objects.get(campaign=campaign).agreement)
    return told


def gold_for_all_at_once() -> dict[str, Any]:
    """Eight raters ask at once where half of the tasks are the same few gold: each gets slots of her own."""
    raters = people("golden", 8)
    campaign = a_campaign(raters=raters, num_prompts=12, overlap=8, name="Golden")
    gold_of(campaign, 12)
    a_plan(campaign, gold_share=0.5)
    days = at_once(*(lambda rater=rater: len([rank_next(campaign, rater) for _ in range(6)]) for rater in raters))
    checks = Slot.objects.filter(campaign=campaign, task__kind="gold")
    return {
        "days": days,
        "slots": checks.count(),
        "different": checks.values("task", "reserved_for").distinct().count(),
        "anothers": Assignment.objects.filter(task__kind="gold").exclude(rater=F("slot__reserved_for")).count(),
    }


def a_link_for_five() -> dict[str, Any]:
    """Sixteen people at once at a link for five: half of them make accounts, half have one, and one of those clicks twice."""
    campaign = a_campaign(num_prompts=1, name="Invited")
    link, token = invite(campaign, max_uses=5, days=1, user=a_person("host", role=Role.ADMIN))
    known = people("known", 8)
    answers = at_once(
        *(partial(join_as_new, token, username=f"new-{i}", password=f"plain violets {i}") for i in range(8)),
        *(partial(join, token, user=user) for user in known),
        partial(join, token, user=known[0]),
    )
    link.refresh_from_db()
    joined = {answer.user.pk for answer in answers if isinstance(answer, Joined)}
    return {
        "others": sorted({answer for answer in answers if not isinstance(answer, Joined)}),
        "joined": len(joined),
        "members": Membership.objects.filter(campaign=campaign, is_active=True).count(),
        "redeemed": link.redemptions.count(),
        "uses": link.uses,
        "accounts_for_nothing": User.objects.filter(username__startswith="new-").exclude(pk__in=joined).count(),
    }


def one_import_twice() -> dict[str, Any]:
    """Two clicks on "Import" of one file."""
    campaign = a_campaign(num_prompts=0, name="Clicked")
    file = SimpleUploadedFile("p.jsonl", b"".join(b'{"prompt": "Question %d?"}\n' % n for n in range(50)))
    brought = check(campaign, file, user=None)
    reports = at_once(*[lambda: confirm(brought, user=None).counts.prompts] * 4)
    return {"reports": Counter(map(str, reports)), "prompts": campaign.prompts.count()}


def a_day(campaign: Campaign, rater: User, *, lot: random.Random) -> list[str]:
    """Returns the rankings that were acknowledged to her."""
    done, late = [], []
    for _ in range(30):
        assignment = lease_next(campaign, rater=rater)
        if assignment is None:
            break
        chance = lot.random()
        if chance < 0.1:
            skip(assignment, rater=rater)
        elif chance < 0.3:
            run_out(assignment)  # anybody's next request gives it away
            late.append(assignment)
        else:
            submission = a_submission(lot.choice(ORDERS), client_uuid=uuid.UUID(int=lot.getrandbits(128)))
            for _ in range(1 + (chance < 0.5)):
                done.append(str(submit_ranking(assignment, rater=rater, submission=submission).pk))
    for assignment in late:
        try:
            done.append(str(submit_ranking(assignment, rater=rater, submission=a_submission()).pk))
        except UserError as error:
            if error.code not in ("already_ranked", "skipped"):  # she got it anew and is done with it
                raise
    return done


def the_last_two_differ() -> dict[str, Any]:
    """Both rankings that a task wants are submitted at once and say the contrary; eight times, with room for one more."""
    raters = people("differ", 4)
    counts, refused = [], []
    for number in range(8):
        campaign = a_campaign(raters=raters, num_prompts=1, overlap=2, name=f"Differ {number}")
        change_rules(campaign, user=None, extra_below=90, extra_most=3)
        leases = [lease_next(campaign, rater=rater) for rater in raters[:2]]
        told = at_once(
            *(partial(judged, lease, order) for lease, order in zip(leases, ("a>b>c", "c>b>a"), strict=True))
        )
        refused += [each for each in told if isinstance(each, str)]
        counts.append(Slot.objects.filter(campaign=campaign).count())
        third = lease_next(campaign, rater=raters[2])
        judged(third, "b>a>c")
        counts.append(Slot.objects.filter(campaign=campaign).count())
    return {"slots": counts, "refused": refused, "held": most_held("Differ")}


def judged(lease: Assignment, order: str) -> None:
    """In the order of the task's own texts, so that two raters who see other letters say what is meant."""
    names = sorted(lease.order)
    letters = {completion: letter for letter, completion in lease.letters().items()}
    tiers = [[letters[names["abc".index(name)]]] for name in order.split(">")]
    submit_ranking(lease, rater=lease.rater, submission=Submission(uuid.uuid4(), tiers))


def skips_and_next_at_once() -> dict[str, Any]:
    """Six raters skip and rank at once, until nothing waits: whoever asks last has been given everything that she may rank."""
    raters = people("skipper", 6)
    campaign = a_campaign(raters=raters, num_prompts=12, overlap=3, name="Skips")

    def work(rater: User, lot: random.Random) -> int:
        count = 0
        while (lease := lease_next(campaign, rater=rater)) is not None:
            count += 1
            if lot.random() < 0.3:
                skip(lease, rater=rater)
            else:
                submit_ranking(lease, rater=rater, submission=a_submission())
        return count

    days = at_once(*(partial(work, rater, random.Random(i)) for i, rater in enumerate(raters)))
    for rater in raters:  # what came back while she was asking for the last time
        work(rater, random.Random(0))
    left = [
        Slot.objects.filter(campaign=campaign, is_free=True)
        .exclude(task__in=Assignment.objects.filter(rater=rater, state__in=SEEN).values("task"))
        .count()
        for rater in raters
    ]
    return {"days": [type(day).__name__ for day in days], "left": left, "held": most_held("Skips")}


if __name__ == "__main__":
    scenes = (
        one_task_for_all, one_rater_many_tabs, double_submits, a_busy_day, pausing_and_submitting, two_rankings_at_once,
        gold_for_all_at_once, a_link_for_five, one_import_twice, the_last_two_differ, skips_and_next_at_once,
        questions_taken_in_at_once,
    )  # fmt: skip
    print(json.dumps({scene.__name__: scene() for scene in scenes}))
