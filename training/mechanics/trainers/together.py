"""A trainer of transformers in several processes: each reads its share of the batches that a single one would have read.

What transformers and accelerate would do is to read other batches: one a process, filled up from the beginning where rows run
out. Here all draw the batch of the step, in one order, and each takes its share (`Share`); the loss is a sum over labels
divided by the whole step's count, so it does not matter whose share is larger. Held-out rows are read by all alike. What a
process draws by lot (dropout) is a function of seed, step and process: no checkpoint needs each one's random state.

Weights that are cut (FSDP2) are so from the first step on, behind loading; the trainer then leaves their gradients to them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import Trainer

from training.context import RunContext
from training.mechanics import checkpoints, models
from training.mechanics.ranks import cut, like, map_tensors, whole, whole_state
from training.ranks import Ranks

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    Base = Trainer
else:
    Base = object  # mixed into a trainer of TRL, which comes behind it in the order of methods

IGNORED = -100  # a label that is not learned
OPTIMIZER, SCHEDULER = "optimizer.pt", "scheduler.pt"


@dataclass(frozen=True, slots=True)
class Share:
    """Of a batch's rows those of one process; where there are fewer rows than processes, a blank one."""

    collate: Callable[[list[Any]], dict[str, Any]]
    blank: Callable[[Any], Any]
    ranks: Ranks

    def __call__(self, rows: list[Any]) -> dict[str, Any]:
        own = rows[self.ranks.rank :: self.ranks.world]
        return self.collate(own or [self.blank(rows[0])])


class Together(Base):
    context: RunContext
    model: Any
    args: Any
    data_collator: Any
    processing_class: Any
    optimizer: Any
    lr_scheduler: Any
    whole_weights: dict[str, Any]
    """Of weights that are cut, on the first process, while a checkpoint is written."""
    whole_moments: dict[str, Any]

    @property
    def ranks(self) -> Ranks:
        return self.context.ranks

    # Rows

    def get_train_dataloader(self) -> DataLoader[Any]:
        if self.ranks.world == 1:
            return super().get_train_dataloader()
        collate, self.data_collator = self.data_collator, Share(self.data_collator, self.blank, self.ranks)
        loader = super().get_train_dataloader()
        self.data_collator = collate
        read_all(loader)
        return loader

    def get_eval_dataloader(self, *args: Any, **kwargs: Any) -> DataLoader[Any]:
        loader = super().get_eval_dataloader(*args, **kwargs)
        if self.ranks.world > 1:
            read_all(loader)
        return loader

    def blank(self, row: Any) -> Any:
        """A row like this one, of which nothing is learned."""
        one = {"input_ids": row["input_ids"][:1], "labels": [IGNORED], "seq_lengths": [1]}
        return {**row, **{name: value for name, value in one.items() if name in row}}

    def draw_anew(self) -> None:
        """What is drawn by lot in this step is a process's own."""
        if self.ranks.world > 1:
            told = [self.args.seed, self.state.global_step, self.ranks.rank]
            torch.manual_seed(int(np.random.SeedSequence(told).generate_state(1)[0]))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if self.ranks.world == 1:
            super()._load_rng_state(checkpoint)

    # Weights

    def _prepare_for_training(self, *args: Any, **kwargs: Any) -> Any:
        if self.ranks.world > 1:
            # Of a last, smaller batch it would leave out what the processes behind the first have found.
            self.accelerator.gather_for_metrics = self.accelerator.gather
        if self.ranks.is_cut:
            cut(self.model)
            self.is_distributed_loading_by_transformers = True
        return super()._prepare_for_training(*args, **kwargs)  # type: ignore[no-untyped-call]

    def gather_whole(self) -> None:
        """For a checkpoint: each process must come here."""
        if self.ranks.is_cut:
            self.whole_weights = whole_state(self.model, keep=self.ranks.is_first)
            self.whole_moments = map_tensors(self.optimizer.state_dict(), whole)

    def write_model(self, folder: Path) -> None:
        """The model, its tokenizer, the optimiser and the schedule, as transformers reads them."""
        if not self.ranks.is_cut:
            self.save_model(str(folder), _internal_call=True)
            (folder / "training_args.bin").unlink()  # a pickle that nobody reads: the recipe says it all
            self._save_optimizer_and_scheduler(str(folder))
            return
        self.model.save_pretrained(str(folder), state_dict=self.whole_weights)
        checkpoints.write_state(folder / OPTIMIZER, self.whole_moments)
        checkpoints.write_state(folder / SCHEDULER, self.lr_scheduler.state_dict())

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or not self.ranks.is_cut:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        state = checkpoints.read_state(Path(checkpoint, OPTIMIZER))
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        for number, moments in state["state"].items():
            weight = weights[number]
            state["state"][number] = {
                name: like(weight, value) if value.shape == weight.shape else value for name, value in moments.items()
            }
        self.optimizer.load_state_dict(state)
        self.lr_scheduler.load_state_dict(checkpoints.read_state(Path(checkpoint, SCHEDULER)))

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[no-untyped-call]
        return whole(norm) if isinstance(norm, torch.Tensor) else norm

    def publish(self) -> None:
        """The model as the run's output, by the first process."""
        state = whole_state(self.model, keep=self.ranks.is_first) if self.ranks.is_cut else None
        if self.ranks.is_first:
            models.publish_model(self.model, self.processing_class, self.context.output, state=state)


def read_all(loader: Any) -> None:
    """Has accelerate give each process all batches, and fill none up."""
    loader.batch_sampler.num_processes, loader.batch_sampler.process_index = 1, 0
    loader.batch_sampler.even_batches = False
