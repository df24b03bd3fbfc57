"""What a run that learns from groups must remember to go on as if it had never stopped.

The policy's weights with Adam's moments; the scale of the scores; the number of the rollout; and, where the stop came in
the middle of a rollout's passes, that rollout and how far they had come. What people answered stands in the run's folder.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from training.contract import Failure
from training.mechanics import checkpoints
from training.mechanics.group_rollout import GroupRollout
from training.mechanics.ppo_math import Scale
from training.mechanics.ppo_model import Policy
from training.mechanics.ppo_update import Passes

STATE = "group.pt"  # inside a checkpoint alone; read with weights_only


@dataclass(slots=True)
class State:
    """`number` rollouts are done; `rollout` is the one in whose passes the run stands, none between two."""

    number: int = 0
    scale: Scale | None = None
    rollout: GroupRollout | None = None
    passes: Passes = field(default_factory=Passes)
    history: list[dict[str, float]] = field(default_factory=list)


def write(folder: Path, state: State, *, actor: Policy, optimizer: torch.optim.Adam) -> None:
    plain = {
        "weights": {name: weight.detach() for name, weight in actor.policy_weights().items()},
        "optimizer": optimizer.state_dict(),
        "number": state.number,
        "scale": asdict(state.scale) if state.scale else None,
        "rollout": state.rollout.as_plain() if state.rollout else None,
        "passes": state.passes.as_plain(),
        "history": state.history,
    }
    checkpoints.write_state(folder / STATE, plain)


def read(folder: Path, *, actor: Policy, optimizer: torch.optim.Adam) -> State:
    """Fills actor and optimizer in place. Raises `Failure("checkpoint_incomplete")`."""
    plain: dict[str, Any] = checkpoints.read_state(folder / STATE)
    weights = actor.policy_weights()
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
    return State(
        number=plain["number"],
        scale=Scale(**plain["scale"]) if plain["scale"] else None,
        rollout=GroupRollout.from_plain(plain["rollout"]) if plain["rollout"] else None,
        passes=Passes(**plain["passes"]),
        history=plain["history"],
    )
