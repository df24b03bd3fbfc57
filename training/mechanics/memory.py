"""What a run does where a batch does not fit into memory: it reads it in parts, and takes the same step.

Only the reading of texts is cut. What the parts come to, log-probabilities or scores, is put together, and the loss is
taken of all of them as ever: so a denominator, a rank in the batch or a baseline is what it was, in every loss there is,
and gradients are equal to rounding. Each part's activations are made again on the way back (Chen et al. 2016, arXiv
1604.06174), so those of one part stand in memory at a time; that costs one more forward pass. Where a model has dropout,
its lots fall otherwise in parts.

While memory suffices nothing is cut; on a GPU the longest batch is tried before the first step (`try_longest`).
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch.utils.checkpoint import checkpoint

from training.context import RunContext
from training.contract import Failure, is_out_of_memory
from training.mechanics.coach.learning import out_of_memory
from training.mechanics.shared_prefix import Reader, Text, on_device, read_together

T = TypeVar("T")
Row = TypeVar("Row")

SHOWN = 24  # tokens of the longest text that are shown where it does not fit


def is_scarce() -> bool:
    """Whether it is worth trying the longest batch first: a GPU's memory is told, and ends; a CPU's is lent before it is
    there, and its end is seldom an error."""
    return torch.cuda.is_available()


def release() -> None:
    """Gives back what failed work has left behind; to be called once its traceback, which holds tensors, is gone."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@dataclass(slots=True)
class Room:
    """How much of a batch is read at a time. A run that has halved something stays with it, and says so once.

    Without a `context` nothing is told; without a `tokenizer` lengths are, and no words.
    """

    context: RunContext | None = None
    tokenizer: Any = None
    parts: int = 1
    """In how many a step's texts are read."""
    seats: int | None = None
    """The most sequences that are sampled at a time, where that had to be made fewer."""

    def state(self) -> dict[str, Any]:
        """Part of a checkpoint: parts round otherwise than the whole, and a resumed run must end in equal bits."""
        return {"parts": self.parts, "seats": self.seats}

    def load(self, state: dict[str, Any]) -> None:
        self.parts, self.seats = state["parts"], state["seats"]

    def fit(self, work: Callable[[], T], texts: Sequence[Sequence[int]], *, undo: Callable[[], None]) -> T:
        """What `work` comes to, which reads `texts` (token ids) in `parts`: in as many as it takes.

        `undo` brings back what half of the work has changed, before it is done in more parts. Raises
        `Failure("out_of_memory")` where one text at a time is too much. Of several processes none can read in more parts
        than the others, who would wait for it: there the error is raised as it came.
        """
        while True:
            try:
                return work()
            except RuntimeError as error:
                if not is_out_of_memory(error) or (self.context is not None and self.context.ranks.world > 1):
                    raise
            release()
            if self.parts >= len(texts):
                raise self.no_room(texts)
            self.parts *= 2
            undo()
            self.tell("A batch of %(size)d texts did not fit into memory: it is read in %(parts)d parts from here on.",
                      size=len(texts), parts=self.parts)  # fmt: skip

    def halve(
        self, rows: Sequence[Row], work: Callable[[Sequence[Row]], T], *, ids: Callable[[Row], Sequence[int]]
    ) -> list[T]:
        """What `work` comes to on all rows, or on each half of them, down to single ones: for what has no way back."""
        try:
            return [work(rows)]
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        release()
        if len(rows) == 1:
            raise self.no_room([ids(rows[0])])
        self.tell("%(size)d texts together did not fit into memory: such batches are read in halves.", size=len(rows))
        middle = len(rows) // 2
        return self.halve(rows[:middle], work, ids=ids) + self.halve(rows[middle:], work, ids=ids)

    def fewer_seats(self, seats: int, prompts: Sequence[Sequence[int]]) -> int:
        """Half of them, where sampling so many sequences at a time was too much. Raises `Failure("out_of_memory")`."""
        release()
        if seats == 1:
            raise self.no_room(prompts)
        self.seats = seats // 2
        self.tell("Sampling %(size)d texts at a time did not fit into memory: it goes on with %(seats)d.",
                  size=seats, seats=self.seats)  # fmt: skip
        return self.seats

    def tell(self, template: str, **figures: int) -> None:
        if self.context is not None:
            self.context.tell(out_of_memory(template, **figures))

    def no_room(self, texts: Sequence[Sequence[int]]) -> Failure:
        """Of the longest of texts that were read one by one."""
        longest = max(texts, key=len)
        words = f", which begins “{self.words(longest)}”" if self.tokenizer is not None else ""
        return Failure(
            "out_of_memory",
            f"Not even one text at a time fits into memory: the longest of the batch has {len(longest)} tokens{words}.",
            advice="Lower max_length or max_new_tokens, train an adapter (lora) with bf16, choose a smaller model, or a"
            " machine with more memory that nothing else uses.",
        )

    def words(self, ids: Sequence[int]) -> str:
        said: str = self.tokenizer.decode(list(ids[:SHOWN]), skip_special_tokens=True)
        return " ".join(said.split())

    def try_longest(self, read: Callable[[], None], texts: Sequence[Sequence[int]]) -> None:
        """Reads the longest batch there will be, forwards and backwards, before anything depends on it (`read` does so and
        leaves nothing behind), and says what it took.

        """
        is_told = torch.cuda.is_available()
        if is_told:
            torch.cuda.reset_peak_memory_stats()
        self.fit(read, texts, undo=lambda: None)
        if is_told and self.context is not None:
            gib = 2**30
            self.context.log(
                f"The longest batch ({len(texts)} texts, the longest of {max(map(len, texts))} tokens) takes"
                f" {torch.cuda.max_memory_allocated() / gib:.1f} of {torch.cuda.get_device_properties(0).total_memory / gib:.1f}"
                " GiB, before the optimiser's own."
            )


def take_step(optimizer: torch.optim.Optimizer) -> None:
    """Its own need of memory does not grow with the batch, and half of a step can't be taken back. Raises `Failure`."""
    try:
        optimizer.step()
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise no_room_for_weights() from error
        raise


def no_room_for_weights() -> Failure:
    return Failure(
        "out_of_memory",
        "What the run keeps of each weight that it trains does not fit into memory, whatever the size of a batch.",
        advice="Train an adapter (lora) with bf16, choose a smaller model, or a machine with more memory that nothing else"
        " uses.",
    )


def in_parts(
    read: Callable[[dict[str, Any]], T], texts: Sequence[Text], *, parts: int, reader: Reader, device: torch.device
) -> Iterator[T]:
    """What `read` makes of `shared_prefix.read_together`, for `parts` of the texts in their order."""
    for some in cut(texts, parts):
        batch = on_device(read_together(some, reader=reader), device)
        yield again(read, batch)


def again(read: Callable[..., T], *told: Any) -> T:
    """`read(*told)`, whose activations are not kept but made again on the way back."""
    if not torch.is_grad_enabled():
        return read(*told)
    found: T = checkpoint(read, *told, use_reentrant=False)
    return found


def cut(rows: Sequence[Row], parts: int) -> Iterator[Sequence[Row]]:
    size = math.ceil(len(rows) / parts)
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
