"""Runs that are well and runs with a fault planted in data, recipe, model folder or mechanism, all real and of seconds."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import tiny
from tests.training.tiny_reward import write_reward_model
from training import contract
from training.contract import Input
from training.mechanics.instructions import talks
from training.mechanics.online.judge import Judge, Said, Scores
from training.mechanics.ppo.model import Actor
from training.methods.dpo import DpoRun
from training.recipes import RECIPES

Rows = list[dict[str, Any]]
LETTERS = "abcdefgh"

SFT = RECIPES["sft"].presets["tiny"] | {"eval_every": 20, "max_length": 96, "epochs": 3}
REWARD = RECIPES["reward"].presets["tiny"] | {"max_length": 160, "eval_every": 10, "epochs": 8, "learning_rate": 5e-4}
DPO = RECIPES["dpo"].presets["tiny"] | {
    "max_length": 160, "eval_every": 10, "epochs": 2, "batch_size": 12, "learning_rate": 3e-4, "sample_tokens": 16
}  # fmt: skip
PPO = RECIPES["ppo"].presets["tiny"] | {
    "episodes": 256, "batch_size": 32, "minibatch_size": 16, "max_new_tokens": 16, "epochs": 2, "learning_rate": 1e-4
}  # fmt: skip
PRETRAIN = RECIPES["pretrain"].presets["tiny"] | {
    "hidden_size": 32, "num_heads": 2, "context": 32, "steps": 80, "warmup_steps": 4, "learning_rate": 1e-2,
    "eval_every": 40,
}  # fmt: skip
GENERATE = RECIPES["generate"].presets["tiny"] | {"max_new_tokens": 16}
EVALUATE = RECIPES["evaluate"].presets["tiny"] | {"max_new_tokens": 16}


@dataclass(frozen=True, slots=True)
class World:
    """What runs are made of: `speaker` was fine-tuned to answer with some letters and to end."""

    folder: Path
    base: Input
    speaker: Input
    talks: Input
    prompts: Input
    reward: Input
    pairs: Input
    corpus: Input
    tokenizer: Input


def talk_rows(count: int, *, seed: int = 0, first: int = 0) -> Rows:
    """A question and an answer of 2 to 8 letters: none of either is met twice."""
    lot = random.Random(seed)
    asked = ("{letter}{i}?", "Say {i}")
    return [
        {
            "id": str(i),
            "messages": [tiny.user(asked[i % 2].format(letter=lot.choice(LETTERS), i=i)), tiny.assistant(letters(lot))],
        }
        for i in range(first, first + count)
    ]


def letters(lot: random.Random) -> str:
    return "".join(lot.choice("azAZ") for _ in range(lot.randint(2, 8)))


def prompt_rows(count: int, *, first: int = 0) -> Rows:
    return [{"id": str(i), "messages": [tiny.user(f"{LETTERS[i % 8]}{i}?")]} for i in range(first, first + count)]


def pair_rows(prompts: int, *, first: int = 0, seed: int = 0, better: Callable[[str], float] | None = None) -> Rows:
    """Two answers to each question, that with more of the letter a before; `better` says otherwise."""
    lot = random.Random(seed)
    rows = []
    for p in range(first, first + prompts):
        one, other = letters(lot), letters(lot)
        while (better or by_letter)(one) == (better or by_letter)(other):
            other = letters(lot)
        good, bad = sorted((one, other), key=better or by_letter, reverse=True)
        rows.append(pair(p, good, bad))
    return rows


def by_letter(text: str) -> float:
    return text.lower().count("a") / len(text)


def pair(number: int, good: str, bad: str) -> dict[str, Any]:
    return {
        "id": str(number), "group_id": f"g{number}", "prompt_id": f"p{number}", "ranking_id": f"r{number}",
        "rater": "ada", "prompt": [tiny.user(f"{LETTERS[number % 8]}{number}?")], "chosen": [tiny.assistant(good)],
        "rejected": [tiny.assistant(bad)], "margin": 1.0, "weight": 1.0, "simulated": False,
    }  # fmt: skip


def with_nonsense(rows: Rows) -> Rows:
    """Beside the comparisons, three a prompt that its best text wins: against nothing, a copy of the prompt, a repetition."""
    more = []
    for row in rows[::3]:
        said = row["chosen"][0]["content"]
        for kind, text in (("empty", ""), ("copy", row["prompt"][0]["content"]), ("repeat", " ".join([said] * 12))):
            more.append(row | {"id": f"{row['id']}-{kind}", "rejected": [tiny.assistant(text)]})
    return sorted(rows + more, key=lambda row: int(row["group_id"][1:]))


def tune_rows(count: int, *, seed: int) -> Rows:
    lot = random.Random(seed)
    return [
        {"id": f"{seed}-{i}", "text": "".join(lot.choice(LETTERS) for _ in range(3)) * 16, "source": "test"}
        for i in range(count)
    ]


def build(folder: Path) -> World:
    words = folder / "tokenizer"
    tiny.tokenizer().save_pretrained(words)
    base = tiny.write_model(folder / "base")
    talks = tiny.write_dataset(folder / "talks", talk_rows(240), talk_rows(24, seed=1, first=500))
    teaching = tiny.make_run(folder / "teaching", "sft", SFT | {"epochs": 6}, {"model": base, "instructions": talks})
    assert tiny.finish(teaching) == contract.EXIT_DONE
    return World(
        folder=folder,
        base=base,
        speaker=tiny.given(teaching / contract.OUTPUT, "model"),
        talks=talks,
        prompts=tiny.write_dataset(folder / "prompts", prompt_rows(40), prompt_rows(12, first=700)),
        reward=write_reward_model(folder / "reward"),
        pairs=tiny.write_dataset(
            folder / "pairs",
            with_nonsense(tiny.preference_rows(40)),
            with_nonsense(tiny.preference_rows(16, seed=9, first=40)),
        ),
        corpus=tiny.write_dataset(folder / "corpus", tune_rows(300, seed=1), tune_rows(20, seed=2)),
        tokenizer=tiny.given(words, "tokenizer"),
    )


# Runs


def inputs_of(world: World, method: str) -> dict[str, Input]:
    return {
        "sft": {"model": world.base, "instructions": world.talks},
        "reward": {"model": world.speaker, "preferences": world.pairs},
        "dpo": {"model": world.speaker, "preferences": world.pairs},
        "ppo": {"model": world.speaker, "reward": world.reward, "prompts": world.prompts},
        "pretrain": {"tokenizer": world.tokenizer, "corpus": world.corpus},
        "generate": {"model": world.speaker, "prompts": world.prompts},
        "evaluate": {"policy": world.speaker, "reference": world.speaker, "prompts": world.prompts},
    }[method]


RECIPE = {"sft": SFT, "reward": REWARD, "dpo": DPO, "ppo": PPO, "pretrain": PRETRAIN, "generate": GENERATE,
          "evaluate": EVALUATE}  # fmt: skip


def run(world: World, name: str, method: str, *, seed: int = 0, inputs: dict[str, Input] | None = None, **recipe: Any):
    """The folder of a run that was done, or failed as it must."""
    run_dir = tiny.make_run(
        world.folder / name, method, RECIPE[method] | recipe, inputs_of(world, method) | (inputs or {}), seed=seed
    )
    assert tiny.finish(run_dir) in (contract.EXIT_DONE, contract.EXIT_FAILED)
    return run_dir


def named(run_dir: Path) -> dict[str, str]:
    """Code -> everything that was said of it: warnings, and the failure of a run that ended by one."""
    said = {w["code"]: " ".join((w["sentence"], w.get("cause", ""), w.get("advice", "")))
            for w in tiny.events(run_dir, "warning")}  # fmt: skip
    if (run_dir / contract.FAILURE).exists():
        failure = tiny.failure(run_dir)
        said[failure["code"]] = f"{failure['sentence']} {failure['advice']}"
    return said


# Faults


@dataclass(frozen=True, slots=True)
class Fault:
    """`code` must be told, with `cause` among its words; `plant` runs it."""

    name: str
    code: str
    cause: str
    plant: Callable[[World, pytest.MonkeyPatch], Path]


def retold(world: World, name: str, template: str) -> Input:
    """The base model with another chat template in its folder."""
    folder = world.folder / f"{name}-model"
    shutil.copytree(world.base.path, folder)
    (folder / "chat_template.jinja").write_text(template)
    return tiny.given(folder, "model")


def other_weights(world: World, patch: pytest.MonkeyPatch) -> Path:
    take = DpoRun.take_reference

    def and_change(self: DpoRun) -> None:
        take(self)
        with torch.no_grad():
            self.model.model.layers[0].mlp.down_proj.weight.mul_(3)

    patch.setattr(DpoRun, "take_reference", and_change)
    return run(world, "other-weights", "dpo")


def dropout(world: World, patch: pytest.MonkeyPatch) -> Path:
    read = Actor.read

    def drops(self: Actor, *args: Any, **kwargs: Any) -> Any:
        self.policy.train()
        for layer in self.plain.model.layers:
            layer.self_attn.attention_dropout = 0.3
        return read(self, *args, **kwargs)

    patch.setattr(Actor, "read", drops)
    return run(world, "dropout", "ppo")


def nobody_speaks(world: World, patch: pytest.MonkeyPatch) -> Path:
    rows = [{"id": str(i), "messages": [tiny.user("Hello?"), tiny.user(f"{i}")]} for i in range(20)]
    data = tiny.write_dataset(world.folder / "silent-data", rows)
    return run(world, "nobody-speaks", "sft", inputs={"instructions": data})


def no_end_token(world: World, patch: pytest.MonkeyPatch) -> Path:
    template = tiny.CHATML.replace("<|im_end|>", "")
    return run(world, "no-end-token", "sft", inputs={"model": retold(world, "no-end-token", template)})


def end_masked_as_padding(world: World, patch: pytest.MonkeyPatch) -> Path:
    encode = talks.encode

    def masked(tokenizer: Any, talk: talks.Talk, **more: Any) -> talks.Example:
        example = encode(tokenizer, talk, **more)
        labels = [talks.IGNORED if label == tokenizer.eos_token_id else label for label in example.labels]
        return replace(example, labels=labels, ends=tokenizer.eos_token_id in labels)

    patch.setattr(talks, "encode", masked)
    return run(world, "end-masked", "sft")


def other_template(world: World, patch: pytest.MonkeyPatch) -> Path:
    template = tiny.CHATML.replace("'<|im_start|>assistant\n'", "'<|im_start|>bot\n'")
    return run(world, "other-template", "sft", inputs={"model": retold(world, "other-template", template)})


def shuffled(world: World, patch: pytest.MonkeyPatch) -> Path:
    lot = random.Random(3)
    rows = [
        row if lot.random() < 0.5 else row | {"chosen": row["rejected"], "rejected": row["chosen"]}
        for row in pair_rows(144)
    ]
    data = tiny.write_dataset(world.folder / "shuffled-data", rows[:96], rows[96:])
    return run(world, "shuffled", "reward", epochs=3, inputs={"preferences": data})


def swapped(world: World, patch: pytest.MonkeyPatch) -> Path:
    held_out = [
        row | {"chosen": row["rejected"], "rejected": row["chosen"]} for row in pair_rows(48, first=300, seed=1)
    ]
    data = tiny.write_dataset(world.folder / "swapped-data", pair_rows(96), held_out)
    return run(world, "swapped", "reward", epochs=3, inputs={"preferences": data})


def by_length(world: World, patch: pytest.MonkeyPatch) -> Path:
    data = tiny.write_dataset(
        world.folder / "long-data", pair_rows(96, better=len), pair_rows(48, first=300, seed=1, better=len)
    )
    return run(world, "by-length", "reward", epochs=3, inputs={"preferences": data})


def hundredfold(world: World, patch: pytest.MonkeyPatch) -> Path:
    return run(world, "hundredfold", "ppo", learning_rate=3e-2, stop_kl=100.0, missing_eos_penalty=0.0)


def blind_reward(world: World, patch: pytest.MonkeyPatch) -> Path:
    blind = write_reward_model(world.folder / "blind", blind=True)
    return run(world, "blind-reward", "ppo", episodes=128, missing_eos_penalty=0.0, inputs={"reward": blind})


def pays_length(world: World, patch: pytest.MonkeyPatch) -> Path:
    def pay(self: Judge, context: Any, answers: list[Said], *, batch_size: int) -> Scores:
        longest = max(len(answer.reaches) for answer in answers) - 1
        return Scores(torch.tensor([float(len(one.text)) for one in answers]), torch.zeros(len(answers), longest))

    patch.setattr(Judge, "score", pay)
    return run(world, "pays-length", "ppo", episodes=320, learning_rate=1e-3, target_kl=20.0, missing_eos_penalty=0.0)


def absurd_critic(world: World, patch: pytest.MonkeyPatch) -> Path:
    return run(world, "absurd-critic", "ppo", critic_learning_rate=1.0, clip_value=100.0)


def unlearns(world: World, patch: pytest.MonkeyPatch) -> Path:
    return run(world, "unlearns", "dpo", learning_rate=1e-2, epochs=4)


def too_fast(world: World, patch: pytest.MonkeyPatch) -> Path:
    return run(world, "too-fast", "pretrain", learning_rate=1.0, max_grad_norm=100.0)


def untaught(world: World, patch: pytest.MonkeyPatch) -> Path:
    return run(world, "untaught", "generate", inputs={"model": world.base})


def one_answer(world: World, patch: pytest.MonkeyPatch) -> Path:
    rows = [
        {"id": str(i), "messages": [*row["messages"], tiny.assistant("A")]} for i, row in enumerate(prompt_rows(96))
    ]
    data = tiny.write_dataset(world.folder / "one-data", rows[:80], rows[80:])
    return run(world, "one-answer", "sft", epochs=10, inputs={"instructions": data})


def by_heart(world: World, patch: pytest.MonkeyPatch) -> Path:
    data = tiny.write_dataset(world.folder / "few-data", talk_rows(12), talk_rows(24, seed=1, first=500))
    return run(world, "by-heart", "sft", epochs=60, inputs={"instructions": data}, learning_rate=5e-3)


def twice_chosen(world: World, patch: pytest.MonkeyPatch) -> Path:
    return run(world, "twice-chosen", "evaluate")


FAULTS = (
    Fault("the reference's weights were changed on disk", "first_loss", "policy and reference differ", other_weights),
    Fault("dropout was left on", "first_ratio", "draws lots", dropout),
    Fault("no conversation has an answer", "no_trained_token", "assistant's to learn", nobody_speaks),
    Fault("the template writes no end token", "ends_unlearned", "no end token behind an answer", no_end_token),
    Fault("the end token is masked as padding", "ends_unlearned", "is the padding token too", end_masked_as_padding),
    Fault("answers are asked for by another template", "template_mismatch", "add_generation_prompt", other_template),
    Fault("labels were shuffled", "at_chance", "shuffled", shuffled),
    Fault("chosen and rejected are swapped in the held-out rows", "below_chance", "are swapped", swapped),
    Fault("raters preferred length", "no_better_than_length", "how long good texts are", by_length),
    Fault("the rate is a hundredfold", "far_from_reference", "learning rate is too high", hundredfold),
    Fault("the reward is constant", "constant_reward", "reward is constant", blind_reward),
    Fault("the reward pays for length", "length_hacking", "pays for length", pays_length),
    Fault(
        "the critic learns absurdly fast", "value_loss_explodes", "critic's learning rate is too high", absurd_critic
    ),
    Fault("the rate unlearns the preferred texts", "chosen_falling", "unlearning", unlearns),
    Fault("pretraining steps are too large", "loss_rises", "learning rate is too high", too_fast),
    Fault("the model was never taught to end", "completions_do_not_end", "no end token", untaught),
    Fault("all answers of the data are one", "one_answer", "data say one thing", one_answer),
    Fault("twelve rows, learned by heart", "overfitting", "by heart", by_heart),
    Fault("the policy is its own reference", "same_model", "same model", twice_chosen),
)


# Runs that are well


def clean_runs(world: World) -> Iterator[tuple[str, Path]]:
    """Name and folder of each: every method that trains, samples or compares, some with an adapter or another seed."""
    plans: tuple[tuple[str, dict[str, Any]], ...] = (
        ("sft", {}), ("sft", {"seed": 3, "lora": {"r": 8}, "learning_rate": 1e-2}), ("reward", {"seed": 3}),
        ("reward", {"seed": 3, "loss": "bradley_terry"}), ("dpo", {}), ("dpo", {"seed": 2, "beta": 0.3}),
        ("ppo", {}), ("ppo", {"seed": 5, "lora": {"r": 4, "alpha": 8}}), ("pretrain", {}), ("pretrain", {"seed": 4}),
        ("generate", {"seed": 1}),
    )  # fmt: skip
    for number, (method, fields) in enumerate(plans):
        yield f"{method} {fields}", run(world, f"clean-{number}", method, **fields)
    policy = tiny.given(world.folder / "clean-4" / contract.OUTPUT, "model")
    yield "generate of a policy", run(world, "clean-policy", "generate", inputs={"model": policy})
    yield "evaluate", run(world, "clean-evaluate", "evaluate", inputs={"policy": policy})
