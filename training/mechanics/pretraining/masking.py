"""What a masked model reads and must find again: row n's gaps are a function of n and the seed alone.

Of the tokens chosen 80 % become the mask, 10 % a token by lot, 10 % stay (Devlin et al. 2019); special tokens are never chosen.
With `next_sentence` a row is `<begin> first <end> second <end>`, and by a coin the second half is that of another row.

Legend: B rows, T tokens, N chosen tokens of all rows, V tokens of the vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.mechanics.corpus.packing import InOrder, Ints, Rows
from training.recipes.pretrain import Masking

HIDDEN, OTHER = 0.8, 0.1
Flags = npt.NDArray[np.bool_]
GLUED = "##"  # by which WordPiece marks what goes on with a word
BLANKS = "".join(map(chr, range(0x100, 0x121)))  # what byte-level tokenizers write for a space and what is below it


@dataclass(frozen=True, slots=True)
class Words:
    """Of each token of a vocabulary (V): whether it may be chosen, and how it meets its neighbours in a word."""

    may_choose: Flags
    goes_on: Flags
    """Begins within a word, if the token before ends in one."""
    ends_in_word: Flags
    mask: int

    @classmethod
    def of(cls, tokenizer: Any) -> Words:
        tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        special = set(tokenizer.all_special_ids)
        glued = any(token.startswith(GLUED) and len(token) > 2 for token in tokens)
        return cls(
            may_choose=np.asarray([i not in special for i in range(len(tokens))]),
            goes_on=np.asarray([token.startswith(GLUED) if glued else is_letter(token[:1]) for token in tokens]),
            ends_in_word=np.asarray([i not in special and (glued or is_letter(t[-1:])) for i, t in enumerate(tokens)]),
            mask=tokenizer.mask_token_id,
        )

    def numbered(self, ids_T: Ints) -> Ints:
        """The number of the word that each token belongs to."""
        glued_T = self.goes_on[ids_T] & self.may_choose[ids_T]
        glued_T[1:] &= self.ends_in_word[ids_T[:-1]]
        glued_T[:1] = False
        return np.cumsum(~glued_T) - 1


def is_letter(character: str) -> bool:
    return character.isalpha() and character not in BLANKS


@dataclass(frozen=True, slots=True)
class Gaps:
    """A batch for a masked model: `places` (N) count through its flattened rows."""

    input_ids: Ints
    places: Ints
    targets: Ints
    token_type_ids: Ints | None = None
    follows: Ints | None = None
    """(B): 0 where the second half follows on the first, 1 where it is another row's, as BERT's own head has it."""


@dataclass(frozen=True, slots=True)
class MaskedRows:
    """Rows with gaps. `salt` tells kinds of gaps apart: those learned from and those judged by."""

    rows: Rows | InOrder
    masking: Masking
    words: Words
    begin: int
    end: int
    salt: int = 0

    def batch(self, first: int, count: int) -> Gaps:
        made = [self.one(number) for number in self.rows.share(first, count)]
        length = len(made[0][0])
        places = [place + i * length for i, (_, _, place, _, _) in enumerate(made)]
        with_next = self.masking.next_sentence
        return Gaps(
            input_ids=np.stack([row[0] for row in made]),
            places=np.concatenate(places),
            targets=np.concatenate([row[1] for row in made]),
            token_type_ids=np.stack([row[3] for row in made]) if with_next else None,
            follows=np.asarray([row[4] for row in made], dtype=np.int64) if with_next else None,
        )

    def one(self, number: int) -> tuple[Ints, Ints, Ints, Ints, int]:
        """Of a row: what is read, what is to be found, where; which half each token is of, and whether they are strangers."""
        lot = np.random.default_rng([self.rows.seed, self.salt, number])
        ids_T = self.rows.row(number)
        kinds_T, stranger = np.zeros_like(ids_T), 0
        if self.masking.next_sentence:
            ids_T, kinds_T, stranger = self.halves(ids_T, number, lot)
        places = chosen(ids_T, self.words, self.masking, lot)
        return hide(ids_T, places, self.words, lot), ids_T[places], places, kinds_T, stranger

    def halves(self, ids_T: Ints, number: int, lot: np.random.Generator) -> tuple[Ints, Ints, int]:
        cut = int(lot.integers(len(ids_T) // 4, len(ids_T) - len(ids_T) // 4))
        stranger = int(lot.integers(2)) if self.rows.rows_per_pass > 1 else 0
        if stranger:  # of the same pass, so that it is another row
            turn, place = divmod(number, self.rows.rows_per_pass)
            place = (place + int(lot.integers(1, self.rows.rows_per_pass))) % self.rows.rows_per_pass
            ids_T = np.concatenate([ids_T[:cut], self.rows.row(turn * self.rows.rows_per_pass + place)[cut:]])
        first, second = ids_T[1 : cut - 1], ids_T[cut:-1]  # three tokens make room for the three that are added
        found = np.concatenate([[self.begin], first, [self.end], second, [self.end]])
        kinds = np.concatenate([np.zeros(len(first) + 2), np.ones(len(second) + 1)]).astype(np.int64)
        return found, kinds, stranger


def chosen(ids_T: Ints, words: Words, masking: Masking, lot: np.random.Generator) -> Ints:
    """Places of the share of a row that must be found, in order; of whole words as many as come nearest without going over,
    and one at least. None of a row of special tokens."""
    able = np.flatnonzero(words.may_choose[ids_T])
    if not len(able):
        return able
    wanted = max(1, round(masking.share * len(able)))
    if not masking.whole_words:
        return np.sort(lot.permutation(able)[:wanted])
    _, word_of = np.unique(words.numbered(ids_T)[able], return_inverse=True)
    lengths = np.bincount(word_of)
    found: list[int] = []
    for word in lot.permutation(len(lengths)):
        if not found or len(found) + lengths[word] <= wanted:
            found += np.flatnonzero(word_of == word).tolist()
        if len(found) >= wanted:
            break
    return np.sort(able[found])


def hide(ids_T: Ints, places: Ints, words: Words, lot: np.random.Generator) -> Ints:
    luck = lot.random(len(places))
    able = np.flatnonzero(words.may_choose)
    ids_T = ids_T.copy()
    ids_T[places[luck < HIDDEN]] = words.mask
    others = places[(luck >= HIDDEN) & (luck < HIDDEN + OTHER)]
    ids_T[others] = lot.choice(able, size=len(others))
    return ids_T
