"""Takes the pictures of runs, rounds and lineage from what stands in this home: `make demo` first, or a loop's home.

STEADYHAND_HOME=var python -m scripts.pictures.loop [--out docs/images] [--all]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from scripts.pictures.camera import PHONE, ROOT, Shot, take_all  # sets Django up

from accounts.models import Role, User  # isort: skip
from registry.models import ModelVersion  # isort: skip
from rlhf.models import Round  # isort: skip
from runs.models import Run, RunState  # isort: skip

METHODS = ("pretrain", "ppo", "dpo", "reward")


def shots() -> list[Shot]:
    """Of what there is in this home; what it lacks is left out."""
    admin = User.objects.filter(role=Role.ADMIN, is_active=True).first()
    if admin is None:
        return []
    name = admin.username
    found = [Shot("home", name, "/"), Shot("runs", name, "/runs/")]
    for method in METHODS:
        run = Run.objects.filter(method=method, state=RunState.SUCCEEDED).order_by("-created_at").first()
        if run is not None:
            found.append(Shot(f"run-{method}", name, f"/runs/{run.pk}/"))
    policy = ModelVersion.objects.filter(role="policy").order_by("-created_at").first()
    if policy is not None:
        found.append(Shot("lineage", name, f"/lineage/model/{policy.pk}/"))
    turn = Round.objects.first()
    if turn is not None:
        found.append(Shot("round", name, f"/rounds/{turn.pk}/"))
    return [replace(shot, is_png=True) for shot in found]


def in_every_look(shot: Shot) -> list[Shot]:
    dark = replace(shot, name=f"{shot.name}-dark", scheme="dark")
    return [shot, dark, *(replace(one, name=f"{one.name}-phone", size=PHONE) for one in (shot, dark))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--all", action="store_true", help="also dark, and as on a phone")
    options = parser.parse_args()
    wanted = shots()
    take_all([one for shot in wanted for one in in_every_look(shot)] if options.all else wanted, out=options.out)
