"""The coach: of faults planted in real runs each is named with its cause, runs that are well stay silent, and rules hold."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import pytest

from tests.training import planted, tiny
from training import contract
from training.context import RunContext
from training.mechanics.coach import policies as coach_policies
from training.mechanics.coach import rewards as coach_rewards
from training.mechanics.coach.seen import Finding, Seen
from training.mechanics.coach.watch import RULES, Coach

FEWEST_NAMED = len(planted.FAULTS) - 1


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> planted.World:
    return planted.build(tmp_path_factory.mktemp("world"))


# Real runs


@pytest.mark.slow(seconds=20)
def test_faults_that_were_planted_are_named_with_their_cause(world):
    told = {}
    for fault in planted.FAULTS:
        with pytest.MonkeyPatch.context() as patch:
            said = planted.named(fault.plant(world, patch))
        told[fault] = (fault.cause in said.get(fault.code, ""), ", ".join(said))
    table = "\n".join(
        f"{'named' if is_named else 'MISSED':8}{fault.name:60}{fault.code:26}{codes}"
        for fault, (is_named, codes) in told.items()
    )
    assert len(told) >= 12
    assert sum(is_named for is_named, _ in told.values()) >= FEWEST_NAMED, f"\n{table}"


@pytest.mark.slow(seconds=20)
def test_runs_that_are_well_stay_silent(world):
    told = {name: planted.named(run_dir) for name, run_dir in planted.clean_runs(world)}
    assert len(told) >= 12
    assert {name: said for name, said in told.items() if said} == {}


def test_a_run_that_is_well_says_what_was_looked_at(world):
    run_dir = planted.run(world, "looked-at", "generate", seed=7)
    assert planted.named(run_dir) == {}
    (log,) = [entry for entry in tiny.events(run_dir, "log") if "watched" in entry]
    assert log["watched"] == ["whether answers end", "whether answers differ"]


def test_a_finding_is_told_once_with_its_cause_and_numbers_also_after_a_resume(tmp_path, world):
    run_dir = tiny.make_run(tmp_path / "run", "generate", planted.GENERATE, planted.inputs_of(world, "generate"))
    for attempt in range(2):  # of one folder
        context = tiny.open_run(run_dir)
        for step in range(3):
            context.metric(step + 3 * attempt, reward=1.0, reward_std=0.0)
    (told,) = tiny.events(run_dir, "warning")
    assert told["code"] == "constant_reward" and told["severity"] == "alarm"
    assert told["sentence"] == told["template"] % told["figures"]
    assert (told["since"], told["step"]) == (0, 2)
    assert told["cause"] and told["advice"]


def test_what_a_method_warned_of_itself_is_not_told_again(tmp_path, world):
    run_dir = tiny.make_run(tmp_path / "run", "dpo", planted.DPO, planted.inputs_of(world, "dpo"))
    context = RunContext.open(run_dir)
    context.warn("chosen_falling", "They fall.")
    for step in range(20):
        context.metric(step, chosen_change_per_token=-1.0)
    assert [told["sentence"] for told in tiny.events(run_dir, "warning")] == ["They fall."]


# Rules on curves


def seen(
    method: str = "ppo", *, final: dict[str, object] | None = None, recipe: dict[str, object] | None = None, **curves
):
    """A run as it stands at the end of these curves."""
    told = Seen(method, recipe or {}, final=final or {}, share_done=1.0, is_over=final is not None)
    for name, values in curves.items():
        for step, value in enumerate(values, start=1):
            told.add(step, {name: value})
            told.step = step
    return told


def codes(told: Seen) -> set[str]:
    return {finding.code for finding in findings(told)}


def findings(told: Seen) -> Iterator[Finding]:
    return (found for rule in RULES if rule.applies(told) and (found := rule.check(told)) is not None)


FALLS = [3.0 * 0.95**i + 1 + 0.05 * math.sin(7 * i) for i in range(60)]
SHAKES = [0.69 + 0.02 * math.sin(7 * i) for i in range(60)]


@pytest.mark.parametrize(
    ("code", "sick", "well"),
    [
        ("loss_rises", {"loss": [1.0, 0.9, *[1.3] * 14]}, {"loss": FALLS}),
        ("loss_spike", {"loss": [*FALLS, 4.0, 4.2, 3.9]}, {"loss": [*FALLS, 4.0, 1.2, 1.1]}),
        ("loss_stuck", {"loss": SHAKES}, {"loss": [v - 0.001 * i for i, v in enumerate(SHAKES)]}),
        ("no_gradient", {"grad_norm": [1.0, 0, 0, 0, 0, 0]}, {"grad_norm": [1.0, 0, 0, 0, 0, 0.2]}),
        ("gradient_cut", {"grad_norm": [40.0] * 20}, {"grad_norm": [4.0] * 20}),
        ("overfitting", {"loss": FALLS, "eval_loss": [3, 1.5, 1.7, 1.9]}, {"loss": FALLS, "eval_loss": [3, 1.5, 1.4, 1.5]}),
        ("ends_unlearned", {"ends_learned": [0.2]}, {"ends_learned": [1.0]}),
        ("template_mismatch", {"asked_otherwise": [1.0]}, {"asked_otherwise": [0.0]}),
        ("few_trained_tokens", {"trained_share": [0.01]}, {"trained_share": [0.2]}),
        ("ends_fall", {"ended": [0.9] * 4 + [0.2] * 4, "reward": [0] * 8}, {"ended": [0.9] * 8, "reward": [0] * 8}),
        ("reward_drift", drifted := {"mean_reward": [30] * 20, "min_reward": [29] * 20, "max_reward": [31] * 20},
         drifted | {"mean_reward": [3] * 20}),
        ("chosen_falling", {"chosen_change_per_token": [-0.6] * 10}, {"chosen_change_per_token": [-0.4] * 10}),
        ("kl_without_bound", {"kl": [1, 22, 25, 30], "reward": [0] * 4}, {"kl": [1, 6, 7, 22], "reward": [0] * 4}),
        ("kl_negative", {"kl": [-3.0] * 3, "reward": [0] * 3}, {"kl": [-0.2] * 3, "reward": [0] * 3}),
        ("critic_useless", {"explained_variance": [-0.5] * 8, "reward_std": [1] * 8},
         {"explained_variance": [0.0, 0.1] * 4, "reward_std": [1] * 8}),
        ("value_loss_explodes", {"value_loss": [0.4, 0.4, 0.4, 9, 9, 9]}, {"value_loss": [0.4, 0.4, 0.4, 2, 2, 2]}),
        ("constant_reward", {"reward": [0] * 3, "reward_std": [0] * 3}, {"reward": [0] * 3, "reward_std": [1, 0, 0]}),
        ("zero_std_groups", {"zero_std_groups": [0.7, 0.6, 0.8]}, {"zero_std_groups": [0.9, 0.2, 0.1]}),
        ("entropy_collapse", {"entropy": [2, 1, 0.1, 0.1], "reward": [0] * 4}, {"entropy": [2, 1, 1, 0.8], "reward": [0] * 4}),
        ("sampled_otherwise", {"sampling_gap": [0.01, 0.3, 0.2, 0.3]}, {"sampling_gap": [0.3, 0.2, 0.09, 0.3]}),
        ("mostly_clipped", {"clip_fraction": [0.6] * 3}, {"clip_fraction": [0.3] * 3}),
        ("length_hacking", hacked := {"reward": list(range(8)), "length": list(range(10, 26, 2)), "reward_std": [1] * 8},
         hacked | {"length": [20, 22] * 4}),
        ("reward_falls", {"reward": [1.0] * 4 + [0.0] * 4, "reward_std": [1] * 8},
         {"reward": [0.0, 0.3] * 4, "reward_std": [1] * 8}),
    ],
)  # fmt: skip
def test_a_rule_finds_the_sick_curve_and_leaves_the_well_one_alone(code, sick, well):
    assert code in codes(seen(**sick))
    assert codes(seen(**well)) == set()


def test_rules_that_ask_the_recipe():
    kl = {"kl": [0.1, 1, 3.5, 8, 17], "reward": [0] * 5}
    assert "kl_explodes" in codes(seen(recipe={"target_kl": 6.0}, **kl))
    assert codes(seen(recipe={"target_kl": 20.0}, **kl)) == set()
    assert "reward_clipped" in codes(seen(recipe={"reward_clip": 5.0, "target_kl": 6.0}, reward=[4.5] * 3, kl=[3] * 3))
    assert codes(seen(recipe={"epochs": 4}, passes=[0.5] * 5)) == {"passes_cut"}
    assert codes(seen(recipe={"epochs": 4}, passes=[4.0] * 5)) == set()


def test_an_accuracy_that_a_coin_may_have_is_told_with_its_interval_and_a_sure_one_is_not():
    def looks(right: float, low: float, high: float, n: int = 100):
        return {
            "eval_accuracy": [right] * 2,
            "eval_accuracy_low": [low] * 2,
            "eval_accuracy_high": [high] * 2,
            "eval_n": [n] * 2,
        }

    told = seen("reward", recipe={"epochs": 2}, **looks(0.55, 0.45, 0.65))
    (finding,) = findings(told)
    assert (
        finding.code == "at_chance"
        and "100 held-out comparisons" in finding.sentence
        and "45 to 65" in finding.sentence
    )
    told.share_done = 0.4  # not a whole epoch yet
    assert codes(told) == set()
    assert codes(seen("reward", recipe={"epochs": 2}, **looks(0.62, 0.48, 0.75))) == set()
    assert codes(seen("reward", recipe={"epochs": 2}, **looks(0.55, 0.2, 0.9, n=12))) == set()  # nothing can be told
    assert codes(seen("reward", recipe={"epochs": 2}, **looks(0.3, 0.2, 0.4))) == set()  # it may turn round yet
    assert codes(seen("reward", final={"eval_n": 100}, **looks(0.3, 0.2, 0.4))) == {"below_chance"}


def test_the_end_of_a_run_has_rules_of_its_own():
    text = {"train_tokens": 2000, "distinct_train_tokens": 100}
    assert codes(seen("pretrain", final=text)) == {"repeated_text"}
    assert codes(seen("pretrain", final=text | {"train_tokens": 1000})) == set()
    longer = {"reward_difference": 1.0, "reward_difference_low": 0.5, "length_difference": 20.0,
              "length_difference_low": 10.0, "length_policy": 50.0, "length_reference": 30.0}  # fmt: skip
    assert codes(seen("evaluate", final=longer)) == {"longer_and_rewarded"}
    assert codes(seen("evaluate", final=longer | {"length_policy": 40.0})) == set()
    assert codes(seen("generate", final={"num_completions": 40, "ended_rate": 1.0, "repeated_share": 0.7})) == {
        "completions_alike"
    }


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        (["a"] * 4, {"one_answer"}),
        (["", "", "", "a"], {"empty_answers"}),
        (["a", "b", "a", ""], set()),
        (["a"] * 3, set()),
    ],
)
def test_samples_that_say_one_thing_or_nothing_are_told(texts, code):
    told = seen("sft", eval_ended=[1.0, 1.0])
    coach = Coach(told)
    for number, text in enumerate(texts):
        coach.answered(2, prompt=str(number), text=text)
    assert codes(told) == code


def test_a_resumed_runs_later_word_holds():
    told = seen(loss=[3.0, 2.0, 9.0, 9.0])
    told.add(3, {"loss": 1.5})
    assert told.values("loss") == [3.0, 2.0, 1.5]


def test_looking_is_rare_on_a_long_run():
    coach, looks = Coach(Seen("pretrain", {})), 0
    for step in range(2000):
        coach.add(step, {"loss": 2.0 - step / 2000})
        before = coach._next
        assert coach.look() == []
        looks += coach._next != before
    assert looks < 200


def test_every_rule_speaks_in_whole_sentences_and_names_a_cause_and_something_to_try():
    told = [
        coach_policies.far_from_reference([20.0] * 3, target=2.0), coach_rewards.chosen_falling([-1.0] * 10),
        *findings(seen("reward", final={"eval_accuracy": 0.5, "length_accuracy": 0.5, "eval_n": 100})),
    ]  # fmt: skip
    for finding in told:
        assert finding is not None
        for text in (finding.sentence, finding.cause, finding.advice):
            assert text[0].isupper() and text.endswith(".") and "%(" not in text


def test_the_documentation_names_every_code_and_no_other():
    """Codes stand in the first column of the tables of docs/coach.md, and first in each `Finding` of the rules."""
    told = re.findall(r"^\| `(\w+)` \|", (tiny.ROOT / "docs/coach.md").read_text(), flags=re.MULTILINE)
    rules = [path.read_text() for path in (tiny.ROOT / "training/mechanics/coach").glob("*.py")]
    found = {code for text in rules for code in re.findall(r'Finding\(\s*"(\w+)"', text)}
    refusals = {"first_loss", "first_ratio", "no_trained_token", "not_finite", "other_sampler"}
    assert len(told) == len(set(told))
    assert set(told) == found | refusals


def test_a_run_folder_of_before_the_coach_opens(tmp_path, world):
    """Events without causes or severities, as they were written until now, are read back."""
    run_dir = tiny.make_run(tmp_path / "run", "generate", planted.GENERATE, planted.inputs_of(world, "generate"))
    log = contract.EventLog(run_dir / contract.EVENTS)
    log.emit("warning", {"code": "constant_reward", "sentence": "Old."})
    log.emit("metric", {"step": 1, "values": {"reward": 0.0, "reward_std": 0.0}})
    context = RunContext.open(run_dir)
    for step in (2, 3, 4):
        context.metric(step, reward=0.0, reward_std=0.0)
    assert len(tiny.events(run_dir, "warning")) == 1
