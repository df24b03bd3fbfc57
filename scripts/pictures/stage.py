"""Fills a fresh home with what the guides show: two campaigns with texts, raters, checks, reviews and prices, and no training.

    STEADYHAND_HOME=FOLDER python -m scripts.pictures.stage

All texts are this project's own. The people are made up, and so is what they say.
"""

from __future__ import annotations

import json
import random
import struct
import tempfile
from decimal import Decimal
from pathlib import Path

import django

django.setup()

from django.core.files.uploadedfile import SimpleUploadedFile  # noqa: E402 - models exist only from here on

from accounts.models import User  # noqa: E402
from annotation.models import Campaign, CampaignState, Completion, Ranking, RankingTask, TaskKind  # noqa: E402
from annotation.services import imports, stream  # noqa: E402
from annotation.services.campaigns import add_raters, create_campaign, revise_guideline, set_state  # noqa: E402
from annotation.services.completions import make_tasks  # noqa: E402
from annotation.services.figures import count  # noqa: E402
from annotation.services.gold import import_gold  # noqa: E402
from annotation.services.guidelines import add_example, note_reading  # noqa: E402
from annotation.services.invitations import invite  # noqa: E402
from annotation.services.prompts import add_prompts  # noqa: E402
from annotation.services.quality_plan import set_plan  # noqa: E402
from annotation.services.review import adjudicate, remark  # noqa: E402
from annotation.services.snapshot import freeze_snapshot  # noqa: E402
from annotation.services.standing import appeal, pause  # noqa: E402
from annotation.services.tariffs import set_tariff  # noqa: E402
from registry.models import ModelVersion  # noqa: E402
from registry.services.artifacts import store_folder  # noqa: E402
from registry.services.models import register_model  # noqa: E402
from scripts.pictures.crowd import make_people, rank_next  # noqa: E402

HERE = Path(__file__).parent
GUIDELINE = """Put the reply first that you would rather get.

1. **Honest.** Nothing false is stated as a fact. What could harm somebody goes last.
2. **Helpful.** It does what was asked, and can be used as it stands.
3. **Brief.** It stops when it is done.

Tie two replies when you would not mind which one you got.
"""
REVISED = GUIDELINE.replace(
    "It stops when it is done.", "It stops when it is done; one that breaks off loses to a plain short one."
)
LETTERS = """prompt,kind,id,author
Say thank you for a book that you will not read.,writing,l-1,mira
Tell a friend that her cake did not taste good.,advice,l-2,mira
Ask the landlord to repair the heating.,writing,l-3,jon
,writing,l-4,jon
Decline an invitation to a wedding.,writing,l-5,jon
"""
WHY_PAUSED = "In two of your first four rankings, what is plainly false stands first."
APPEAL = "I typed on my phone in the train and mixed up the letters. I'd be glad to do them again."
SCALE = {"name": "tone", "levels": 5, "low": "rude", "high": "warm", "is_required": False}


def stage() -> None:
    stream.lot = random.Random(4)  # type: ignore[assignment]  # the same places for checks in every picture
    people = make_people()
    everyday = an_everyday_campaign(people)
    ranked(everyday, people)
    reviewed(everyday, people)
    letters = a_campaign_with_a_test(people)
    imports.check(letters, SimpleUploadedFile("letters.csv", LETTERS.encode()), user=people["grace"])
    freeze_snapshot(everyday, name="everyday-1", user=people["grace"])
    count(everyday)


def rows() -> list[dict[str, object]]:
    return [json.loads(line) for line in (HERE / "everyday.jsonl").read_text(encoding="utf-8").splitlines()]


def fill(campaign: Campaign, given: list[dict[str, object]], *, models: list[ModelVersion]) -> None:
    """Prompts with K replies each, written by turns by two models; a text's `external_id` is its place in the file."""
    add_prompts(
        campaign,
        rows=[
            {"prompt": row["prompt"], "kind": row["kind"], "id": f"q-{n}", "priority": 10 + n}  # so, in this order
            for n, row in enumerate(given)
        ],
        user=campaign.created_by,
    )
    for n, row in enumerate(given):
        prompt = campaign.prompts.get(external_id=f"q-{n}")
        for place, text in enumerate(row["replies"][: campaign.k]):  # type: ignore[index]
            wrote = models[(place + n // 3) % 2]
            Completion.objects.create(prompt=prompt, text=text, external_id=str(place), model=wrote)
    make_tasks(campaign)


def a_model(name: str, *, user: User) -> ModelVersion:
    """A name for those pages that name one: weights of two zeros, which nothing here loads."""
    with tempfile.TemporaryDirectory() as folder:
        table = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
        (Path(folder) / "model.safetensors").write_bytes(struct.pack("<Q", len(table)) + table + bytes(8))
        for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            (Path(folder) / file).write_text("{}")
        artifact = store_folder(Path(folder), kind="model")
    return register_model(name, role="sft", artifact=artifact, user=user)


def an_everyday_campaign(people: dict[str, User]) -> Campaign:
    grace, rita = people["grace"], people["rita"]
    raters = [people[name] for name in ("ada", "bea", "cleo", "eve")]
    campaign = create_campaign("Everyday questions", k=4, overlap=4, guideline=GUIDELINE, user=grace, raters=raters)
    fill(campaign, rows(), models=[a_model(f"writer-{n}", user=grace) for n in (1, 2)])
    import_gold(campaign, path=HERE / "right_orders.jsonl", user=rita)
    set_plan(campaign, user=grace, gold_share=0.1, repeat_share=0.05, shows_agreement=True)
    set_tariff(campaign, per="hour", price=Decimal(18), currency="EUR", user=grace, budget=Decimal(60))
    invite(campaign, max_uses=5, days=7, user=grace, note="the evening shift")
    for name in ("ada", "bea", "cleo"):
        note_reading(campaign.guidelines.latest("number"), rater=people[name])
    return set_state(campaign, to=CampaignState.OPEN, user=grace)


def ranked(campaign: Campaign, people: dict[str, User]) -> None:
    """Cleo has ranked all, Bea nearly all, Ada a part; Eve was paused; Dan comes now."""
    grace = people["grace"]
    rank_next(
        campaign, people["cleo"], noise=0.5, days_ago=3, cannot_rank="outside", reason="I can't tell who is asking."
    )
    for day in (3, 3, 2, 2, 2, 1, 1, 1, 1, 1, 0, 0, 0, 0):
        rank_next(campaign, people["cleo"], noise=1.3, days_ago=day)
    for day in (2, 2, 2, 2, 1, 1, 1, 0, 0, 0):
        rank_next(campaign, people["bea"], noise=1.1, days_ago=day)
    add_example(
        campaign, user=grace, prompt="How many minutes are there in two hours?",
        texts=["120 minutes.", "Time matters to all of us. It depends on", "There are 100 minutes in two hours."],
        order="a >>>> b > c", why="A is right and short. B breaks off. C looks like an answer, and is false.",
    )  # fmt: skip
    note_reading(campaign.guidelines.latest("number"), rater=people["bea"])
    for day in (1, 1, 1, 0, 0, 0, 0):
        rank_next(campaign, people["ada"], noise=0.9, days_ago=day)
    for is_reversed in (False, True, True, False):
        rank_next(campaign, people["eve"], noise=0.5, is_reversed=is_reversed)
    pause(
        campaign,
        rater=people["eve"],
        reason="In two of your first four rankings, what is plainly false stands first.",
        user=grace,
    )
    appeal(
        campaign,
        rater=people["eve"],
        words="I typed on my phone in the train and mixed up the letters. I'd be glad to do them again.",
    )
    revise_guideline(campaign, user=grace, text=REVISED)
    add_raters(campaign, raters=[people["dan"]], user=grace)


def reviewed(campaign: Campaign, people: dict[str, User]) -> None:
    rita = people["rita"]
    disputed = campaign.tasks.filter(kind=TaskKind.WORK, agreement__isnull=False).order_by("agreement", "pk")
    task: RankingTask = disputed[1]
    adjudicate(task, line="a > b >> c > d", reason="A is the only one that can be used as it stands.", user=rita)
    hers = Ranking.objects.filter(rater=people["bea"], is_live=True, task=disputed[0]).get()
    remark(
        hers,
        words="Would you want to get the reply in your second place? Please look once more.",
        returns=True,
        user=rita,
    )


def a_campaign_with_a_test(people: dict[str, User]) -> Campaign:
    """Bea has passed its test, Dan is in it."""
    grace = people["grace"]
    campaign = create_campaign("Polite letters", k=3, overlap=2, guideline=GUIDELINE, user=grace, attributes=[SCALE])
    models = list(ModelVersion.objects.order_by("name"))
    fill(campaign, [row for row in rows() if row["kind"] in ("writing", "advice", "ideas")], models=models)
    import_gold(campaign, path=HERE / "right_orders.jsonl", user=people["rita"])
    set_plan(campaign, user=grace, num_tests=4, gold_share=0.0, repeat_share=0.0)
    set_state(campaign, to=CampaignState.OPEN, user=grace)
    add_raters(campaign, raters=[people["bea"], people["dan"]], user=grace)
    for _ in range(4):
        rank_next(campaign, people["bea"], noise=0.1)
    rank_next(campaign, people["dan"], noise=0.1)
    return campaign


if __name__ == "__main__":
    stage()
