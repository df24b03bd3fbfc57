"""Every page, by who sees it, in a home with contents on each: `python -m tests.e2e.every_page` fills it and prints them.

The campaigns are those of the guides' pictures (`scripts.pictures.stage`); what runs left is written as rows, since none is
trained here. A page is an address, or an address and the keys pressed there.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from scripts.pictures import stage
from scripts.pictures.camera import session_of  # sets Django up

from django.urls import reverse  # isort: skip
from django.utils import timezone  # isort: skip

from accounts.models import Role, User
from annotation.leaving import way_out
from annotation.models import Campaign, Completion, Import, Ranking, RankingTask, TaskKind
from annotation.services.ahead import lease_ahead
from annotation.services.assign import lease_next
from annotation.services.invitations import invite
from registry.models import Alias, Artifact, DatasetVersion, ModelVersion
from registry.services.artifacts import store_folder
from registry.services.datasets import read_rows
from registry.services.profiles import keep_profile
from rlhf.models import Constitution, RoundState
from rlhf.services.alarm import FEWEST
from rlhf.services.constitutions.documents import import_document, read_bytes
from rlhf.services.constitutions.drafts import begin_draft, save_draft
from rlhf.services.constitutions.publishing import publish
from rlhf.services.constitutions.trying import Asked, try_principle
from rlhf.services.constitutions.wording import wordings_in
from rlhf.services.rounds import start_round
from runs.models import Run, RunState
from runs.services.estimate import ask_estimate, start_estimated
from tests.accounts.people import person
from tests.annotation.feedback import judgements_of, take
from tests.annotation.test_ai_feedback import wise
from tests.rlhf.conftest import finish
from tests.rlhf.constitutional import judged_run, makings_of, with_answers
from tests.rlhf.principles import EXAMPLE, wording
from tests.rlhf.test_alarm import ranked
from tests.rlhf.test_chains import a_chain
from tests.rlhf.test_chains import a_dataset as a_dataset_of
from tests.runs.conftest import a_dataset, a_model, a_tokenizer_run
from tests.runs.test_estimates import done
from tests.runs.test_measures import a_measurement
from tests.runs.test_pages import fail, metric, say, under_way
from training.mechanics.coach.learning import repeated_text
from training.mechanics.coach.policies import far_from_reference
from training.mechanics.coach.rewards import no_better_than_length
from training.mechanics.coach.seen import Finding, Seen
from training.mechanics.profile import tally

PEOPLE = ("dan", "ada", "bea", "eve", "rita", "rex", "grace")
A_TRIAL = (
    {"part": "answer", "step": 0, "text": "Six minutes. Or hit the egg.", "ended": True, "harmfulness": 0.5},
    {"part": "critique", "step": 1, "text": "The second sentence helps nobody.", "ended": False, "is_too_long": False},
    {"part": "revision", "step": 2, "text": "Six minutes, then cold water at once.", "kept": True, "why": "", "ended": True,
     "harmfulness": 0.0},
    {"part": "comparison", "step": 3, "text": "", "ab": 0.83, "ba": 0.41, "p": 0.66, "flipped": True, "abstained": False},
)  # fmt: skip
METHODS = ("pretrain", "sft", "generate", "dpo", "ppo", "rloo")  # one template makes the forms of all


def findings() -> list[Finding]:
    """A note, a warning and an alarm."""
    found = [
        repeated_text(Seen("pretrain", {}, final={"train_tokens": 4000, "distinct_train_tokens": 200})),
        no_better_than_length({"eval_accuracy": 0.61, "length_accuracy": 0.6}),
        far_from_reference([21.4, 22.0, 25.0], target=6.0),
    ]
    return [finding for finding in found if finding is not None]


def runs_of(grace: User) -> dict[str, str]:
    """Runs in every state, a round at its gate and one under way; their addresses."""
    corpus = a_dataset("addresses", kind="corpus", num_rows=9, splits={"train": 6, "test": 3})
    going = a_tokenizer_run(corpus, grace, title="A tokenizer of addresses")
    under_way(going)
    say(going, *(metric(step, loss=3 / step, accuracy=0.2 * step) for step in (1, 2, 3, 4)))
    say(going, ("sample", {"step": 3, "prompt": "Why?", "text": "Because."}))
    say(going, ("warning", {"code": "left_out_long", "sentence": "3 of 96 texts were too long and were left out."}))
    say(going, *(("warning", finding.as_payload(step=4)) for finding in findings()))
    broken = a_tokenizer_run(corpus, grace, title="One that broke")
    fail(broken)
    Run.objects.filter(pk=broken.pk).update(finished_at=timezone.now())
    campaign = Campaign.objects.get(slug="everyday-questions")
    given = {
        "model": a_model("writer-3", role="sft", num_parameters=135_000_000),
        "preferences": DatasetVersion.objects.get(name="everyday-1"),
        "prompts": a_dataset("questions", kind="prompts", num_rows=9, splits={"train": 6, "test": 3}),
        "user": grace, "preset": "tiny",
    }  # fmt: skip
    decided = start_round(campaign, **given)
    policies = finish(decided)
    for entry in decided.stages.select_related("run"):
        say(entry.run, *(metric(step, reward=0.1 * step, kl=0.2 * step) for step in (1, 2, 3)))
    say(decided.stages.first().run, ("log", {"text": "The coach looked.", "watched": ["the loss", "gradients"]}))
    ranked(policies["ppo"], given["model"], num=FEWEST, won=0.2, by=User.objects.get(username="ada"))
    profiled(DatasetVersion.objects.get(name="everyday-1"), going)
    waiting = start_round(campaign, **given)
    Alias.objects.get_or_create(name="sft/current", defaults={"model": given["model"]})
    assert decided.state == RoundState.OPEN
    first, second = (str(entry.run_id) for entry in decided.stages.all()[1:3])
    assert Run.objects.get(pk=first).state == RunState.SUCCEEDED
    return {
        "running": reverse("run", args=[going.pk]),
        "failed": reverse("run", args=[broken.pk]),
        "done": reverse("run", args=[first]),
        "well": reverse("run", args=[decided.stages.first().run_id]),
        "measured": reverse("run", args=[a_measurement(grace).pk]),
        **estimated({"model": given["model"].artifact, "preferences": given["preferences"].artifact}, grace),
        "compare": f"{reverse('runs_compare')}?run={first}&run={second}",
        "round at its gate": reverse("round", args=[decided.pk]),
        "round under way": reverse("round", args=[waiting.pk]),
        "model": reverse("model", args=[policies["ppo"].pk]),
        "lineage": reverse("lineage", args=["model", policies["ppo"].pk]),
        "dataset": reverse("dataset", args=[given["preferences"].pk]),
    }


def constitutions(grace: User) -> list[str]:
    """One that is published and has a draft that differs; the addresses of its pages."""
    path = Path(__file__).parents[2] / "rlhf" / "demo" / "constitutions" / "narrow.json"
    first = import_document(read_bytes(path.read_bytes()), user=grace).version
    publish(first, seen=first.edits, user=grace)
    draft = begin_draft(Constitution.objects.get(), user=grace)
    changed = [wording("brief", tags=("form",), examples=(EXAMPLE,)), *reversed(wordings_in(draft)[:-1])]
    save_draft(draft, wordings=changed, seen=draft.edits, user=grace, note="Shorter.")
    here = f"/constitutions/{first.constitution.slug}/"
    tried = wordings_in(first)[0]
    trial = try_principle(
        first,
        tried,
        beside=(),
        prompt="How long do I boil an egg?",
        asked=Asked(a_model("cook", role="sft").artifact),
        user=grace,
    )
    under_way(trial)
    say(trial, *(("sample", dict(part)) for part in A_TRIAL))
    Run.objects.filter(pk=trial.pk).update(state=RunState.SUCCEEDED, finished_at=timezone.now())
    waiting = try_principle(
        first,
        tried,
        beside=(),
        prompt="Is raw egg safe?",
        asked=Asked(a_model("waiter", role="sft").artifact),
        user=grace,
    )
    under_way(waiting)
    say(waiting, ("sample", dict(A_TRIAL[0])))
    at_it = f"{here}versions/1/principles/{tried.id}/try/"
    return [
        "/constitutions/", "/constitutions/new/", "/constitutions/import/", here, f"{here}versions/1/", f"{here}edit/",
        f"{here}compare/", at_it, f"{at_it}{trial.pk}/", f"{at_it}{waiting.pk}/",
    ]  # fmt: skip


def constitutional(grace: User) -> list[str]:
    """One whose pairs are judged, before its gate, with what it changed so far; and the form with an estimate of each stage."""
    hal = person(Role.RATER, name="hal")
    new = with_answers(judged_run(wise, makings_of(grace), folder=Path(tempfile.mkdtemp()), rater=hal))
    given = {"name": "another", "constitution": new.constitution_id, "model": new.model_id, "red_team": new.red_team_id,
             "helpful": new.helpful_id, "preset": "tiny", "policy": "dpo", "critic": "rules", "rounds": 4, "people_share": 30,
             "ai_share": 50, "accuracy": 0.6, "kappa": 0.2, "fewest": 30, "estimated": "yes"}  # fmt: skip
    return [
        "/constitutional/", "/constitutional/new/", f"/constitutional/new/?{urlencode(given)}", f"/constitutional/{new.pk}/",
    ]  # fmt: skip


def chains() -> list[str]:
    """Of a revised answer and of one that nobody revised."""
    dataset = a_dataset_of([a_chain(0), a_chain(1, steps=[], scores=(0.0,))], name="revised-answers")
    return [f"/datasets/{dataset.pk}/", f"/datasets/{dataset.pk}/chains/", f"/datasets/{dataset.pk}/chains/train/0/"]


def estimated(given: dict[str, Artifact], grace: User) -> dict[str, str]:
    """An estimate, and the run that it was of, by their addresses."""
    estimate = done(ask_estimate("dpo", recipe={}, inputs=given, user=grace, output_name="policy-of-an-estimate"))
    run = start_estimated(estimate, user=grace)
    used = {"seconds": 5890.0, "memory": 3.3 * 2**30}
    Run.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED, attempt=1, used=used, finished_at=timezone.now())
    return {"estimated": reverse("run", args=[estimate.pk]), "beside": reverse("run", args=[run.pk])}


def profiled(dataset: DatasetVersion, run: Run) -> None:
    """As if `run` had been its profile."""
    counts: dict[str, object] = {}
    for split in dataset.splits:
        tally.add(counts, tally.count(read_rows(dataset, split=split), split=split))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "report.json").write_text(json.dumps(tally.profile_of(counts)))
        artifact = store_folder(Path(folder), kind="report")
    keep_profile(dataset, artifact=artifact, run=run.pk)


def ai_judged(campaign: Campaign) -> None:
    """As a feedback model that likes what is longer would leave it; what is nearly as long it leaves to people."""

    def judge(first: str, second: str) -> float:
        return 0.5 if abs(len(first) - len(second)) < 20 else 0.8 if len(first) > len(second) else 0.2

    with tempfile.TemporaryDirectory() as folder:
        take(campaign, judgements_of(campaign, judge), Path(folder))


def pages() -> dict[str, list[tuple[str, str]]]:
    """(address, keys) by name; "" is nobody."""
    grace, ada, bea = (User.objects.get(username=name) for name in ("grace", "ada", "bea"))
    everyday = Campaign.objects.get(slug="everyday-questions")
    hers, desk = "/campaigns/everyday-questions/", "/rank/everyday-questions/"
    _, token = invite(everyday, max_uses=5, days=7, user=grace)
    task = lease_next(everyday, rater=ada)
    assert task is not None
    lease_ahead(task, rater=ada)
    ranked = Ranking.objects.filter(rater=bea, is_live=True, task__kind=TaskKind.WORK).first()
    disputed = RankingTask.objects.filter(campaign=everyday, agreement__isnull=False).order_by("agreement").first()
    assert ranked is not None and disputed is not None
    preview = reverse("campaign_preview_task", args=[everyday.slug, disputed.pk])
    ai_judged(everyday)
    runs = runs_of(grace)
    principles = constitutions(grace)
    by_name: dict[str, list[str | tuple[str, str]]] = {
        "": ["/login/", f"/join/{token}/"],
        "dan": ["/", desk, "/rank/polite-letters/", f"/join/{token}/"],
        "ada": [
            desk, (desk, "?"), (desk, "s"), (desk, "vab"), (desk, "b>a=d>>>c"), (desk, "bf"), (desk, "ae"),
            reverse("rank_compare", args=[everyday.slug, task.pk]) + "?left=a&right=b",
            "/my-work/", way_out("http://example.org/a/page"), "/languages/", "/password/", "/tokens/", "/api/",
            "/nothing-here/", "/campaigns/",
        ],
        "bea": ["/my-work/", reverse("rank_correct", args=[ranked.pk]), "/my-work/polite-letters/test/", "/rank/polite-letters/"],
        "eve": ["/", desk, "/my-work/"],
        "rita": ["/", "/review/", "/review/?show=settled", reverse("review_task", args=[disputed.pk])],
        "rex": ["/", hers, "/campaigns/", f"{hers}statistics/", "/datasets/", runs["dataset"]],
        "grace": [
            "/", "/campaigns/", "/campaigns/new/", hers, f"{hers}clone/", f"{hers}imports/",
            reverse("campaign_import", args=["polite-letters", Import.objects.get().pk]),
            f"{hers}guideline/", f"{hers}invitations/", preview, f"{preview}compare/?left=a&right=b", f"{hers}statistics/",
            f"{hers}rater-figures/", f"{hers}costs/", f"{hers}ai-feedback/", f"{hers}quality/", "/review/", "/people/", "/audit/",
            "/models/", "/models/import/", "/datasets/", "/runs/", "/rounds/", f"{hers}rounds/new/",
            *principles,
            *constitutional(grace),
            *chains(),
            *(f"/runs/new/{method}/" for method in METHODS), *runs.values(),
        ],
    }  # fmt: skip
    return {name: [(one, "") if isinstance(one, str) else one for one in found] for name, found in by_name.items()}


def main() -> None:
    stage.stage()
    if not User.objects.filter(username="rex").exists():
        person(Role.RESEARCHER, name="rex")
    assert ModelVersion.objects.exists() and Completion.objects.exists()
    print(json.dumps({"pages": pages(), "sessions": {name: session_of(name) for name in PEOPLE}}))


if __name__ == "__main__":
    main()
