"""`manage.py agreement`: figures of simulated and of real campaigns are those of an independent count from the file itself."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import random
import uuid
from collections import Counter

import numpy as np
import pytest
from django.core.management import call_command
from django.utils.crypto import salted_hmac

from annotation.models import Campaign, Ranking, RankingTask, TaskKind
from annotation.services.assign import lease_next
from annotation.services.judge import Submission
from annotation.services.rank import correct_ranking, submit_ranking
from annotation.services.report import report_of
from tests.annotation.arrange import a_campaign, a_file, a_person, a_submission
from tests.annotation.quality import brute

pytestmark = pytest.mark.django_db
RESAMPLES = 30
FIGURES = {
    "pairwise": brute.pairwise,
    "alpha": lambda tasks: brute.alpha(brute.units_of_all(tasks)),
    "tau_b": brute.tau_b,
    "w": brute.w,
    "majority": brute.with_majority,
}


def agreement(slug: str, *, resamples: int = RESAMPLES):
    out = io.StringIO()
    call_command("agreement", slug, json=True, resamples=resamples, stdout=out)
    return json.loads(out.getvalue())


def imported(tmp_path, rows, *, name="Real", is_simulated=False) -> str:
    out = io.StringIO()
    path = a_file(tmp_path / "rankings.jsonl", *rows)
    call_command("import_rankings", str(path), campaign=name, overlap=3, simulated=is_simulated, json=True, stdout=out)
    return json.loads(out.getvalue())["campaign"]


def rater_called(campaign: str, label: str) -> str:
    """The pseudonym that an import gives a rater of elsewhere."""
    pk = Campaign.objects.get(slug=campaign).pk
    return "imported-" + salted_hmac("annotation.imported", f"{pk}\n{label}", algorithm="sha256").hexdigest()[:16]


def tasks_of(rows) -> list[list[brute.Row]]:
    """As the file has them; a task is a line."""
    return [
        [brute.row_of(f"{at:05}", ranking["rater"], ranking["tiers"]) for ranking in row["rankings"]]
        for at, row in enumerate(rows)
    ]


def is_same(measure, value) -> bool:
    if measure["value"] is None:
        return bool(np.isnan(value)) and measure["why"] != ""
    return abs(measure["value"] - value) < 1e-9 and (measure["low"] is None or measure["low"] <= measure["high"])


def check(told, rows, *, campaign):
    """Overall, of each rater, and of each two, on all figures."""
    tasks = [rankings for rankings in tasks_of(rows) if len(rankings) > 1]
    labels = sorted({ranking["rater"] for row in rows for ranking in row["rankings"]})
    assert (told["num_rankings"], told["overall"]["num_tasks"]) == (
        sum(len(row["rankings"]) for row in rows),
        len(tasks),
    )
    for name, figure in FIGURES.items():
        assert is_same(told["overall"]["figures"][name], figure(tasks)), name
    by_name = {one["rater"]: one for one in told["raters"]}
    assert len(by_name) == len(labels)
    for label in labels:
        mine = [rankings for rankings in tasks if any(row[1] == label for row in rankings)]
        figures = by_name[rater_called(campaign, label)]["agreement"]["figures"]
        assert is_same(figures["pairwise"], brute.pairwise(mine, {label}))
        assert is_same(figures["alpha"], brute.alpha(brute.units_of_two(mine, {label})))
        assert is_same(figures["tau_b"], brute.tau_b(mine, {label}))
        assert is_same(figures["w"], brute.w(mine))
        assert is_same(figures["majority"], brute.with_majority(mine, {label}))
    by_pair = {frozenset(one["raters"]): one for one in told["pairs"]}
    for pair in itertools.combinations(labels, 2):
        mine = [rankings for rankings in tasks if set(pair) <= {row[1] for row in rankings}]
        if not mine:
            continue
        figures = by_pair[frozenset(rater_called(campaign, label) for label in pair)]["agreement"]["figures"]
        assert is_same(figures["pairwise"], brute.pairwise(mine, set(pair)))
        assert is_same(figures["alpha"], brute.alpha(brute.units_of_two(mine, set(pair))))
        assert is_same(figures["tau_b"], brute.tau_b(mine, set(pair)))
        assert is_same(figures["w"], brute.w([[row for row in rows if row[1] in pair] for rows in mine]))


def majority_shares(rows):
    """Of each model, from the votes of the file."""
    won, num = Counter(), Counter()
    for row in rows:
        model = {one["id"]: one["model"] for one in row["completions"]}
        for one, other in itertools.combinations(sorted(model), 2):
            votes = [
                np.sign(level[other] - level[one])
                for ranking in row["rankings"]
                for level in [{name: at for at, tier in enumerate(ranking["tiers"]) for name in tier}]
                if one in level and other in level
            ]
            if votes and model[one] != model[other]:
                for name, share in ((one, (np.sign(sum(votes)) + 1) / 2), (other, (1 - np.sign(sum(votes))) / 2)):
                    won[model[name]] += share
                    num[model[name]] += 1
    return {name: won[name] / num[name] for name in num}


def simulated_rows(num: int):
    """Tasks of two to five texts, ranked by one to three of five raters; ties, and texts left out."""
    lot = random.Random(11)
    rows = []
    for number in range(num):
        names = list("vwxyz")[: lot.randint(2, 5)]
        rankings = []
        for rater in lot.sample(["ann", "bob", "cyd", "dov", "eli"], lot.randint(1, 3)):
            order = sorted(names, key=lambda name: lot.gauss(names.index(name), 1.2))
            tiers = [[order[0]]]
            for name in order[1:]:
                if lot.random() < 0.25:
                    tiers[-1].append(name)
                else:
                    tiers.append([name])
            ranking = {"rater": rater, "tiers": tiers, "seconds": lot.uniform(5, 90)}
            if len(tiers) > 2 and lot.random() < 0.2:
                ranking |= {"tiers": tiers[:-1], "unranked": tiers[-1]}
            rankings.append(ranking)
        completions = [
            {"id": n, "text": f"{n} to {number}" + " more" * lot.randint(0, 60), "model": f"model {n}"} for n in names
        ]
        rows.append({"prompt": f"What is {number}?", "kind": lot.choice(["code", "advice", ""]), "completions": completions,
                     "rankings": rankings})  # fmt: skip
    return rows


def test_figures_of_an_imported_campaign_are_those_of_its_file(tmp_path):
    rows = simulated_rows(30)
    slug = imported(tmp_path, rows)
    told = agreement(slug)
    assert told["programs"] is None
    check(told["people"], rows, campaign=slug)
    shares = majority_shares(rows)
    assert {one["model"]: one["majority"]["value"] for one in told["people"]["models"]} == pytest.approx(
        shares, abs=1e-9
    )
    kinds = {one["name"]: one["agreement"]["figures"]["pairwise"] for one in told["people"]["kinds"]}
    for kind in ("code", "advice", ""):
        mine = [rankings for row, rankings in zip(rows, tasks_of(rows), strict=True) if row["kind"] == kind]
        assert is_same(kinds[kind or "unnamed"], brute.pairwise(mine))


def pandalm_rows(data, num: int):
    """999 pairs with the votes of three raters (0 tie, 1, 2). Some responses are JSON booleans."""
    with gzip.open(data / "pandalm" / "testset-v1.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in itertools.islice(lines, num):
            row = json.loads(line)
            one, other = row["cmp_key"].split("_")[:2] if "cmp_key" in row else ("model 1", "model 2")
            yield {
                "prompt": f"{row['idx']}. {row['instruction']}\n\n{row['input']}",
                "completions": [
                    {"id": "1", "text": str(row["response1"]), "model": one},
                    {"id": "2", "text": str(row["response2"]), "model": other},
                ],
                "rankings": [
                    {
                        "rater": str(i),
                        "tiers": {0: [["1", "2"]], 1: [["1"], ["2"]], 2: [["2"], ["1"]]}[row[f"annotator{i}"]],
                    }
                    for i in (1, 2, 3)
                ],
            }


def test_figures_of_real_votes_are_those_of_their_file(data, tmp_path):
    rows = list(pandalm_rows(data, 120))
    slug = imported(tmp_path, rows)
    told = agreement(slug)["people"]
    check(told, rows, campaign=slug)
    assert {one["model"]: one["majority"]["value"] for one in told["models"]} == pytest.approx(
        majority_shares(rows), abs=1e-9
    )
    assert told["position"]["why"] == "It is not known in which order texts were shown."


def test_people_and_programs_are_told_apart(ada, bea):
    programs = [a_person(f"simulated-{n}", is_simulated=True) for n in (1, 2)]
    campaign = a_campaign(raters=[ada, bea, *programs], num_prompts=2, overlap=4)
    for rater in (ada, bea, *programs):
        submit_ranking(lease_next(campaign, rater=rater), rater=rater, submission=a_submission())
    told = agreement(campaign.slug)
    assert {one["rater"] for one in told["people"]["raters"]} == {"ada", "bea"}
    assert {one["rater"] for one in told["programs"]["raters"]} == {"simulated-1", "simulated-2"}
    assert (told["people"]["num_rankings"], told["programs"]["num_rankings"]) == (2, 2)


def test_only_live_rankings_of_work_with_an_order_count(campaign, ada):
    done = submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=a_submission())
    correct_ranking(done, rater=ada, submission=a_submission("c>b>a"))
    gold = lease_next(campaign, rater=ada)
    RankingTask.objects.filter(pk=gold.task_id).update(kind=TaskKind.GOLD)
    submit_ranking(gold, rater=ada, submission=a_submission())
    none = Submission(client_uuid=uuid.uuid4(), cannot_rank="unclear")
    submit_ranking(lease_next(campaign, rater=ada), rater=ada, submission=none)
    told = agreement(campaign.slug)["people"]
    assert Ranking.objects.count() == 4
    assert (told["num_rankings"], told["num_without_order"], told["num_tasks"]) == (1, 1, 1)


def test_a_campaign_without_rankings_has_no_figures(campaign):
    told = agreement(campaign.slug)
    assert (told["people"], told["programs"]) == (None, None)


def test_in_words_each_figure_has_its_interval_and_n(tmp_path):
    slug = imported(tmp_path, simulated_rows(12))
    out = io.StringIO()
    call_command("agreement", slug, resamples=RESAMPLES, stdout=out)
    assert "people, pairs ordered alike: 0." in out.getvalue()
    assert ", n = " in out.getvalue()


def test_an_unknown_campaign_is_told(db):
    err = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("agreement", "nowhere", stderr=err)
    assert "There is no campaign" in err.getvalue()


def test_the_same_rankings_give_the_same_report(tmp_path):
    campaign = Campaign.objects.get(slug=imported(tmp_path, simulated_rows(12)))
    assert report_of(campaign, num_resamples=20) == report_of(campaign, num_resamples=20)
