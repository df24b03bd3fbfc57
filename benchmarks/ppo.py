"""PPO beside TRL's: rollouts of 32 episodes by turns, episodes a second, and how long each takes to the same reward.

`make bench-ppo` trains SmolLM2-135M-Instruct by a LoRA in bfloat16; `MODEL=small make bench-ppo` a Llama of 3.2M parameters
in full, from a random start, on a reward that can be earned: the share of capital letters; SEEDS=3 does so from three starts.
TRL 1.12.0, the last with a
PPOTrainer, is installed into a folder of its own below STEADYHAND_BENCH_HOME and runs in a process of its own.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from training.__main__ import OFFLINE, THREADS

os.environ.update(OFFLINE | THREADS)  # as a run has it; read when torch is loaded

import torch
from transformers.utils import logging

from benchmarks import bench, limits
from benchmarks.ppo_house import EPISODES, MINIBATCH, PASSES, SAMPLES, House, build
from training import contract
from training.context import RunContext
from training.contract import Spec
from training.methods.ppo import Ppo
from training.recipes.ppo import PpoRecipe

MODEL = os.environ.get("MODEL", "smollm")
ROLLOUTS = int(os.environ.get("ROLLOUTS", {"smollm": "4", "small": "40"}[MODEL]))
SEEDS = int(os.environ.get("SEEDS", "1"))
RELEASE = "trl==1.12.0"


def main() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    facts: dict[str, Any] = {"model": MODEL, "release": RELEASE, "episodes_a_rollout": EPISODES}
    rates: dict[str, list[float]] = {"ours": [], "peer": []}
    goals = []
    for seed in range(SEEDS):
        sides, found, limit = trained(seed)
        for name, some in found.items():
            rates[name] += some
        goals.append(same_reward(*sides))
        print(json.dumps({"seed": seed, **goals[-1]}), flush=True)
    if MODEL == "small":  # the other's reward has a head of random numbers
        facts |= {name: round(statistics.median(goal[name] for goal in goals), 2) for name in goals[0]}
    told_rates = {f"{side}_episodes_per_second": round(statistics.median(some), 3) for side, some in rates.items()}
    bench.report(
        "ppo", ours=rates["ours"], peer=rates["peer"], at_least=2.0, **facts, seeds=SEEDS, **told_rates, **limit
    )


def trained(seed: int) -> tuple[tuple[Side, Side], dict[str, list[float]], dict[str, float]]:
    """Both sides after all rollouts from one start, their rates, and the limit by products."""
    with tempfile.TemporaryDirectory() as folder:
        house = build(Path(folder), MODEL, seed=seed)
        ours, peer = Ours(house, Path(folder, "run"), seed=seed), Peer(house, Path(folder, "peer"))
        found = bench.rates({"ours": ours.rollout, "peer": peer.rollout}, warm_up=1, runs=ROLLOUTS)
        peer.end()
        told = list(ours.told)
        rate = statistics.median(found["ours"])
        limit = limits.of_products("episode", ours.rollout, rate=rate, dtype=torch.bfloat16)
        ours.told = told  # the rollout that was counted was slowed by it
    for side in (ours, peer):
        shown = [f"{one['reward']:.2f} ({one['kl']:.2f})" for one in side.told[:: max(1, len(side.told) // 10)]]
        print(f"{side.name}: reward (KL in nats) {', '.join(shown)}")
    return (ours, peer), found, limit


class Side(ABC):
    """One of the two: what each of its rollouts came to, and when, in seconds of its own."""

    name: ClassVar[str]

    def __init__(self) -> None:
        self.told: list[dict[str, float]] = []
        self.seconds = 0.0

    def rollout(self) -> int:
        began = time.perf_counter()
        figures = self.step()
        self.seconds += time.perf_counter() - began
        self.told.append({**figures, "at": self.seconds})
        return EPISODES

    @abstractmethod
    def step(self) -> dict[str, float]:
        """`reward` and `kl` are of the policy that sampled."""


class Ours(Side):
    name = "ours"

    def __init__(self, house: House, folder: Path, *, seed: int) -> None:
        super().__init__()
        folder.mkdir()
        recipe = {
            **house.recipe, "episodes": EPISODES * (ROLLOUTS + 1), "batch_size": EPISODES, "samples_per_prompt": SAMPLES,
            "minibatch_size": MINIBATCH, "epochs": PASSES, "checkpoint_every": 10_000,
            # As TRL has it: the price of KL stays, no score is cut, what did not end costs nothing.
            "target_kl": None, "reward_clip": 1e6, "missing_eos_penalty": 0.0,
        }  # fmt: skip
        spec = Spec(run=folder.name, method="ppo", recipe=recipe, inputs=house.inputs, seed=seed)
        (folder / contract.SPEC).write_text(spec.dump())
        context = RunContext.open(folder)
        assert isinstance(context.recipe, PpoRecipe)
        self.loop = Ppo(context, context.recipe)

    def step(self) -> dict[str, float]:
        rollout = self.loop.rollout()
        self.loop.pass_over(rollout)
        self.loop.finish(rollout)
        last = self.loop.state.history[-1]
        return {"reward": last["raw_score"], "kl": last["kl"]}


class Peer(Side):
    name = "TRL"

    def __init__(self, house: House, folder: Path) -> None:
        super().__init__()
        home = Path(os.environ.get("STEADYHAND_BENCH_HOME", folder)) / RELEASE.replace("==", "-")
        if not home.exists():
            command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(home), RELEASE]
            subprocess.run(command, check=True)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(home), *filter(None, sys.path)])}
        told = {"rollouts": ROLLOUTS + 1, "folder": str(folder), **house.for_peer()}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ppo_peer", json.dumps(told)], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.answer() == {"ready": True}

    def step(self) -> dict[str, float]:
        assert self.process.stdin is not None
        self.process.stdin.write("on\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith('{"'):  # its libraries print too
                found: dict[str, Any] = json.loads(line)
                return found
        raise RuntimeError(f"{RELEASE} ended: {self.process.wait()}")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def same_reward(ours: Side, peer: Side) -> dict[str, float]:
    """How long each took, in its own seconds, to the reward that the worse of the two ends with; and the KL at it."""
    some = max(1, ROLLOUTS // 4)
    goal = min(statistics.mean(one["reward"] for one in side.told[-some:]) for side in (ours, peer))
    found = {name: reached(side, goal) for name, side in {"ours": ours, "peer": peer}.items()}
    return {
        "goal": round(goal, 3),
        "time_ratio": round(found["peer"]["at"] / found["ours"]["at"], 2),
        **{f"{name}_seconds_to_goal": round(one["at"], 1) for name, one in found.items()},
        **{f"{name}_kl_at_goal": round(one["kl"], 2) for name, one in found.items()},
    }


def reached(side: Side, goal: float) -> dict[str, float]:
    """Where the mean of three rollouts comes to the goal, between the two that lie around it; the last where none does."""
    means = [
        {name: statistics.mean(one[name] for one in side.told[i : i + 3]) for name in ("reward", "kl", "at")}
        for i in range(len(side.told) - 2)
    ]
    for before, after in itertools.pairwise(means):
        if before["reward"] < goal <= after["reward"]:
            part = (goal - before["reward"]) / (after["reward"] - before["reward"])
            return {name: before[name] + part * (after[name] - before[name]) for name in means[0]}
    return means[-1]


if __name__ == "__main__":
    main()
