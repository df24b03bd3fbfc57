"""What a run that learns from what its policy writes must remember to go on as if it had never stopped.

The trained weights with Adam's moments; the scale of the scores; the number of the rollout; and, where the stop came in
the middle of a rollout's passes, that rollout and how far they had come. There is no random state and no position in the
data beside the rollout's number: see `online.rollout`. What people answered stands in the run's folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from training.contract import Failure
from training.mechanics import checkpoints
from training.mechanics.online.passes import Passes
from training.mechanics.online.policy import Policy
from training.mechanics.online.rollout import Rollout
from training.mechanics.ppo.math import Scale

STATE = "online.pt"  # inside a checkpoint alone; read with weights_only
R = TypeVar("R", bound=Rollout)


@dataclass(slots=True)
class State(Generic[R]):
    """`number` rollouts are done; `rollout` is the one in whose passes the run stands, none between two."""

    number: int = 0
    scale: Scale | None = None
    rollout: R | None = None
    passes: Passes = field(default_factory=Passes)
    history: list[dict[str, float]] = field(default_factory=list)

    def summary(self, *, before: Sequence[str], last: Sequence[str]) -> dict[str, float]:
        """Figures of the first rollout, and means over the last quarter of them: one rollout alone is mostly chance."""
        quarter = self.history[-max(1, len(self.history) // 4) :]
        found = {name: [figures[name] for figures in quarter if name in figures] for name in last}
        means = {name: sum(values) / len(values) for name, values in found.items() if values}
        return {f"{name}_before": self.history[0][name] for name in before if name in self.history[0]} | means


S = TypeVar("S", bound=State[Any])


def write(folder: Path, state: State[R], *, actor: Policy, optimizer: torch.optim.Adam) -> None:
    weights = {name: weight.detach() for name, weight in trained(actor).items()}
    plain = {
        "weights": weights, "optimizer": optimizer.state_dict(), "state": asdict(state), "room": actor.room.state(),
    }  # fmt: skip
    checkpoints.write_state(folder / STATE, plain)


def read(folder: Path, fresh: S, *, rollout: type[Rollout], actor: Policy, optimizer: torch.optim.Adam) -> S:
    """`fresh` as it was left; fills actor and optimizer in place. Raises `Failure("checkpoint_incomplete")`."""
    plain: dict[str, Any] = checkpoints.read_state(folder / STATE)
    weights = trained(actor)
    if weights.keys() != plain["weights"].keys():
        raise Failure(
            "checkpoint_incomplete",
            f"{folder.name} holds other weights than this run trains; resuming from it would train something else.",
            advice="Delete that checkpoint's folder: the run then resumes from the one before, or from the start.",
        )
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(plain["weights"][name])
    optimizer.load_state_dict(plain["optimizer"])
    actor.room.load(plain["room"])
    told = plain["state"]
    told["scale"] = Scale(**told["scale"]) if told["scale"] else None
    told["rollout"] = rollout.from_plain(told["rollout"]) if told["rollout"] else None
    told["passes"] = Passes(**told["passes"])
    return replace(fresh, **told)


def trained(actor: Policy) -> dict[str, torch.nn.Parameter]:
    return {f"{part.name}.{name}": weight for part in actor.trained() for name, weight in part.weights.items()}
