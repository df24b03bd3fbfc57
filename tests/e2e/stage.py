"""Sets a stage in the home of a running server: campaigns with raters and texts. `python -m tests.e2e.stage NAME`."""

from __future__ import annotations

import gc
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import django

gc.disable()  # it ends before there is any
django.setup()

from django.utils import timezone  # noqa: E402 - models exist only from here on

from accounts.models import Role, User  # noqa: E402
from annotation.attributes import as_json, parse_attributes  # noqa: E402
from annotation.models import Campaign, Completion, Ranking, TaskKind  # noqa: E402
from annotation.services.assign import lease_next  # noqa: E402
from annotation.services.campaigns import add_raters  # noqa: E402
from annotation.services.completions import make_tasks  # noqa: E402
from annotation.services.figures import count  # noqa: E402
from annotation.services.gold import make_gold  # noqa: E402
from annotation.services.rank import submit_ranking  # noqa: E402
from annotation.services.tariffs import set_tariff  # noqa: E402
from registry.services.artifacts import store_folder  # noqa: E402
from registry.services.datasets import freeze_dataset  # noqa: E402
from registry.services.models import register_model  # noqa: E402
from tests.accounts.people import person  # noqa: E402
from tests.annotation.arrange import a_campaign, a_submission  # noqa: E402
from tests.annotation.checks import a_plan, gold_of, in_order, rank_next, reversed_order, right_order  # noqa: E402

RATERS = ("ada", "bea", "cleo", "dan", "eve")
HOSTILE = (
    "<script>window.stolen = 1</script> <img src=x onerror='window.stolen = 1'>",
    "[press me](javascript:window.stolen=1) ![](https://evil.example/pixel.png) <style>body{display:none}</style>",
    "# Loud\n\n" + "word " * 3000 + "\n\n" + "unbroken" * 400,
    "\u202eevil\u202c \u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd Z\u0351\u036b\u0343\u036a\u0302\u036b"
    + "\u0336" * 60,
)
GRADIENT = (
    r"""## The gradient

For a policy $\pi_\theta$ one wants the largest

$$
J(\theta) = \mathbb{E}_{x \sim D,\, y \sim \pi_\theta(\cdot \mid x)}\left[ r(x, y)
- \beta \log \frac{\pi_\theta(y \mid x)}{\pi_{\mathrm{ref}}(y \mid x)} \right]
$$

so \(\boxed{42}\), with $\cancel{x}$ gone. A ticket costs $5 and a coffee $3.

\[ f(x) = \begin{cases} x^2 & \text{if } x > 0 \\ 0 & \text{otherwise} \end{cases} \]

```python
@dataclass
class Policy:
    """
    + '"""A policy, by its weights."""'
    + r"""
    beta: float = 0.1  # how far it may go

    def step(self, rewards: list[float]) -> float:
        return sum(r - self.beta for r in rewards if r > 0)
```

| method | KL | win rate |
|:--|--:|:-:|
| DPO | 1.25 | 61 % |
| PPO | 10.4 | $\approx 64\,\%$ |

See [the paper](https://arxiv.org/abs/2203.02155) or <https://example.org/a/long/path/that/goes/on?and=a&query=too>.

![a plot of the loss](https://evil.example/x.png)
"""
)
WRITTEN = (
    GRADIENT,
    GRADIENT.replace("a coffee $3", "a cup of tea $4").replace("boxed{42}", "frac{1"),
    "```cpp\n// sums\nint sum(std::vector<int> xs) { return 7; }\n```\n\n"
    + "The rest of it is words, and more follow. " * 90,
)


def people() -> None:
    for name in RATERS:
        person(Role.RATER, name=name)


def raters() -> list[User]:
    return list(User.objects.filter(role="rater").order_by("username"))


def everyday() -> None:
    """Twelve plain tasks of four texts, for everybody."""
    a_campaign(raters=raters(), num_prompts=12, k=4, overlap=9)


def long() -> None:
    """Thirty plain tasks of four texts, each for as many as there are raters."""
    a_campaign(raters=raters(), num_prompts=30, k=4, overlap=9, name="Long")


def nine() -> None:
    """Four tasks of nine texts."""
    a_campaign(raters=raters(), num_prompts=4, k=9, overlap=9, name="Nine")


def scarce() -> None:
    """Two tasks, each wanted once."""
    a_campaign(raters=raters(), num_prompts=2, k=2, overlap=1, name="Scarce")


def disputed() -> None:
    """Four tasks that Ada and Bea ranked, one of them the opposite way; `rex` reviews, and there is a plan."""
    person(Role.REVIEWER, name="rex")
    ada, bea, *_ = raters()
    campaign = a_campaign(raters=raters(), num_prompts=4, k=4, overlap=9, name="Disputed")
    while rank_next(campaign, ada, seconds=40.0):
        pass
    while rank_next(campaign, bea, rule=at_odds_on_the_first, seconds=25.0):
        pass
    alike = campaign.tasks.filter(agreement=1.0).order_by("pk")[0]
    make_gold(alike, tiers=right_order(alike), explanation="As they say.", kind=TaskKind.GOLD, user=None)
    a_plan(campaign, shows_agreement=True)


def at_odds_on_the_first(texts: dict[str, str]) -> list[list[str]]:
    return reversed_order(texts) if "question 0" in min(texts.values()) else in_order(texts)


def tested() -> None:
    """A campaign that begins with a test of four tasks; Cleo and Dan join it."""
    campaign = a_campaign(num_prompts=10, k=3, overlap=9, name="Tested")
    gold_of(campaign, 5, kind=TaskKind.TEST)
    a_plan(campaign, num_tests=4)
    add_raters(campaign, raters=[rater for rater in raters() if rater.username in ("cleo", "dan")], user=None)


def rated() -> None:
    """Six tasks of four texts that are rated on two scales, one of them of every text."""
    campaign = a_campaign(raters=raters(), num_prompts=6, k=4, overlap=9, name="Rated")
    campaign.attributes = as_json(
        parse_attributes("helpful 1-5: useless .. just what was asked (required)\nhonest 1-3: makes things up .. true")
    )
    campaign.save()


def hostile() -> None:
    """One task whose texts are attacks."""
    campaign = a_campaign(raters=raters(), num_prompts=1, k=4, overlap=9, name="Hostile")
    campaign.tasks.all().delete()
    prompt = campaign.prompts.get()
    prompt.completions.all().delete()
    for text in HOSTILE:
        Completion.objects.create(prompt=prompt, text=text)
    make_tasks(campaign)


def written() -> None:
    """One task of three texts with code, tables, formulas and links, two of them much alike, one long."""
    campaign = a_campaign(raters=raters(), num_prompts=1, k=3, overlap=9, name="Written")
    campaign.tasks.all().delete()
    prompt = campaign.prompts.get()
    prompt.completions.all().delete()
    for text in WRITTEN:
        Completion.objects.create(prompt=prompt, text=text, model_label="secret-model")
    make_tasks(campaign)


def counted() -> None:
    """Twelve tasks, all ranked by three, over two days, at a price and within a budget; the figures are counted."""
    campaign = a_campaign(raters=raters(), num_prompts=12, k=4, overlap=3, name="Counted")
    set_tariff(campaign, per="ranking", price=Decimal("0.25"), currency="EUR", user=None, budget=Decimal("9.1"))
    for at, rater in enumerate(raters()[:3]):
        for number in range(12):
            assignment = lease_next(campaign, rater=rater)
            order = ("a>b>c>d", "a>c=b>d", "d>c>b>a")[(at + number) % 3]
            made = submit_ranking(assignment, rater=rater, submission=a_submission(order, seconds=1.0))
            day = timezone.now() - timedelta(days=number % 2)
            Ranking.objects.filter(pk=made.pk).update(created_at=day, seconds=20.0 + 3 * number)
    count(campaign)


def empty() -> None:
    """Open, but nothing to rank yet; `fill` changes that."""
    a_campaign(raters=raters(), num_prompts=0, k=4, name="Empty")


def fill() -> None:
    campaign = Campaign.objects.get(name="Empty")
    filler = a_campaign(num_prompts=1, k=4, name="Filler")
    filler.prompts.update(campaign=campaign)
    filler.tasks.all().delete()
    make_tasks(campaign)


def tiny_writer() -> None:
    """A model of 0.1 M parameters that writes bytes at random, and prompts to compare policies on."""
    from tests.training.tiny import write_model  # torch takes seconds that the other stages need not wait

    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder))
        artifact = store_folder(Path(folder), kind="model")
    grace = User.objects.get(username="grace")
    register_model("tiny-writer", role="sft", artifact=artifact, user=grace)
    splits = {
        "train": [{"id": f"t{n}", "messages": [{"role": "user", "content": f"Write {n}."}]} for n in range(8)],
        "test": [{"id": f"h{n}", "messages": [{"role": "user", "content": f"Compare {n}."}]} for n in range(4)],
    }
    freeze_dataset("tiny-prompts", kind="prompts", splits=splits, user=grace)


def harmful_writer() -> None:
    """A tiny model that has learned harmful replies by heart."""
    from tests.training.constituted import write_harmful_model

    with tempfile.TemporaryDirectory() as folder:
        write_harmful_model(Path(folder))
        artifact = store_folder(Path(folder), kind="model")
    register_model("harmful-writer", role="sft", artifact=artifact, user=User.objects.get(username="grace"))


STAGES: dict[str, Callable[[], None]] = {
    set_up.__name__: set_up
    for set_up in (
        people,
        everyday,
        long,
        nine,
        scarce,
        disputed,
        tested,
        rated,
        hostile,
        written,
        counted,
        empty,
        fill,
        tiny_writer,
        harmful_writer,
    )
}

if __name__ == "__main__":
    for name in sys.argv[1:]:
        STAGES[name]()
