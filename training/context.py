"""What a method sees of its run: its recipe, its inputs, where to say what happens, where to leave what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training import contract
from training.contract import Failure, Input, Spec
from training.mechanics.coach.seen import Finding
from training.mechanics.coach.watch import Coach
from training.mechanics.estimate.probe import Probe
from training.ranks import Ranks
from training.recipes import RECIPES, Recipe


class Stopped(Exception):
    """The run was asked to stop and has written its checkpoint; raised by the method, turned into EXIT_STOPPED."""


@dataclass(slots=True)
class RunContext:
    """Handed to `training.methods.<method>.run(context)`.

    A method reads `context.recipe` and `context.input(...)`, tells with `progress`, `metric`, `sample`,
    `warn` and `log`, polls `stop_requested`, keeps checkpoints under `checkpoints`, and writes what it
    made below `output`. The manifest is written by the caller, from what `run` returns: a dict of metrics.
    The coach reads along: what stands out among metrics and samples is told as a warning by itself.
    Where what it costs is asked, there is a `probe`: loops are left early, and what they say of learning is not told.
    """

    dir: Path
    spec: Spec
    recipe: Recipe
    events: contract.EventLog | contract.Unheard
    coach: Coach
    stop_requested: bool = False
    """Of several processes: whether all have agreed to stop, since all must do so behind the same step."""
    probe: Probe | None = None
    ranks: Ranks = field(default_factory=Ranks)
    is_asked_to_stop: bool = False
    """This process was, and the others may not know yet."""
    _acts_alone: bool = True
    _phase_began: dict[str, tuple[float, int]] = field(default_factory=dict)

    @classmethod
    def open(cls, run_dir: Path, ranks: Ranks | None = None) -> RunContext:
        """Raises `Failure` ("no_spec", "no_method", "one_process", "bad_recipe") for a folder that can't be run.

        Of several processes the first one tells what happens.
        """
        ranks = ranks or Ranks()
        spec = contract.read_spec(run_dir)
        if spec.method not in RECIPES:
            raise Failure("no_method", f"There is no method called {spec.method!r}.")
        if "parallel" in spec.recipe and "parallel" not in RECIPES[spec.method].model_fields:
            raise Failure(
                "one_process",
                f"The method {spec.method} works in one process alone.",
                advice="Leave `parallel` out of its recipe.",
            )
        try:
            recipe = RECIPES[spec.method].model_validate(spec.recipe)
        except ValueError as error:
            raise Failure("bad_recipe", f"The recipe is not one of {spec.method}: {error}") from error
        said = run_dir / contract.EVENTS
        coach = Coach.of(method=spec.method, recipe=recipe.model_dump(), events=contract.read_events(said))
        log = contract.EventLog(said) if ranks.is_first else contract.Unheard()
        probe = Probe() if spec.is_estimate else None
        return cls(run_dir, spec, recipe, log, coach, probe=probe, ranks=ranks, _acts_alone=ranks.world == 1)

    @property
    def output(self) -> Path:
        folder = self.dir / contract.OUTPUT
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def checkpoints(self) -> Path:
        folder = self.dir / contract.CHECKPOINTS
        folder.mkdir(exist_ok=True)
        return folder

    # Several processes

    def ask_to_stop(self) -> None:
        self.is_asked_to_stop = True
        self.stop_requested |= self._acts_alone

    def agree_to_stop(self) -> bool:
        """Whether any process was asked to stop; each must come here at the same point of its work."""
        if self.ranks.world > 1:
            self.stop_requested = self.ranks.any(self.is_asked_to_stop)
        return self.stop_requested

    def on_first(self, work: Callable[[], object]) -> None:
        """Has the first process do something that is no matter of the others, who wait for it. Raises `Stopped` in all."""
        if self.ranks.world == 1:
            work()
            return
        if self.ranks.is_first:
            self._acts_alone, self.stop_requested = True, self.is_asked_to_stop
            try:
                work()
            except Stopped:
                self.is_asked_to_stop = True
            finally:
                self._acts_alone = False
        if self.agree_to_stop():
            raise Stopped

    def input(self, name: str) -> Input:
        try:
            return self.spec.inputs[name]
        except KeyError:
            raise Failure("no_input", f"This run needs an input called {name!r}.") from None

    def has_input(self, name: str) -> bool:
        return name in self.spec.inputs

    def progress(self, phase: str, step: int, total: int, *, unit: str = "steps", is_paced: bool = True) -> None:
        """`step` of `total` of a phase is done; rate and ETA come from this attempt's own pace.

        Steps that are not paced, or whose `unit` is "phases", are no measure of time: they give neither.
        """
        now = time.monotonic()
        began, first = self._phase_began.setdefault(phase, (now, step))
        rate = (step - first) / (now - began) if now > began and step > first else None
        payload: dict[str, Any] = {"phase": phase, "step": step, "total": total, "unit": unit}
        if rate and is_paced and unit != "phases":
            payload |= {"rate": round(rate, 3), "eta_s": round((total - step) / rate, 1)}
        self.events.emit("progress", payload)
        self.coach.progress(phase, step, total)
        if self.probe is not None:
            self.probe.passed(phase, step, total, is_paced=is_paced and unit != "phases")

    def timed(self, what: str, *, units: float = 1) -> AbstractContextManager[None]:
        """Around what comes back at intervals, so that an estimate may count it; nothing to a run."""
        return nullcontext() if self.probe is None else self.probe.timed(what, units=units)

    def metric(self, step: int, **values: float) -> None:
        """Numbers of one step, drawn as curves by name; a number that is not finite is an error of the method."""
        if self.probe is not None:
            return
        self.events.emit("metric", {"step": step, "values": {k: float(v) for k, v in values.items()}})
        self.coach.add(step, values)
        for finding in self.coach.look():
            self.tell(finding)

    def sample(self, step: int, *, prompt: str, text: str, **more: Any) -> None:
        if self.probe is not None:
            return
        self.events.emit("sample", {"step": step, "prompt": prompt, "text": text, **more})
        self.coach.answered(step, prompt=prompt, text=text)

    def warn(self, code: str, sentence: str) -> None:
        if self.probe is not None and self.probe.has_cut:
            return
        self.coach.told.add(code)
        self.events.emit("warning", {"code": code, "sentence": sentence})

    def tell(self, finding: Finding) -> None:
        """A warning with its likely cause and what to try, once a run."""
        if finding.code in self.coach.told or (self.probe is not None and self.probe.has_cut):
            return
        self.coach.told.add(finding.code)
        self.events.emit("warning", finding.as_payload(step=self.coach.seen.step))

    def end(self, metrics: dict[str, Any]) -> None:
        """The coach's last look, at the run's final metrics, and a word on what it looked at."""
        if self.probe is not None:
            return
        for finding in self.coach.end(metrics):
            self.tell(finding)
        if watched := self.coach.watched():
            self.events.emit("log", {"text": f"The coach looked at {', '.join(watched)}.", "watched": watched})

    def used(self, used: dict[str, float]) -> None:
        """What this attempt took of the machine, however it ended."""
        gib = used["memory"] / 2**30
        self.events.emit("log", {"text": f"It took {used['seconds']:.0f} s and {gib:.2f} GiB of memory.", "used": used})

    def log(self, text: str) -> None:
        self.events.emit("log", {"text": text})
