"""What curating a dataset is told: which steps, and their bounds; a step that is switched off is left out.

The bounds of `Quality` and `Repetition` are those of Gopher (Rae et al. 2021, table A1 and section A1.1) unless a field
says otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.recipes.base import Lack, OutputKind, Recipe

NOT_ONE = "Give one dataset, of the kind that is to be curated: a corpus or instructions."


class Step(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PersonalData(Step):
    """E-mail addresses, phone numbers, IBANs, card numbers, IP addresses."""

    action: Literal["count", "redact", "drop"] = Field(
        "redact", description="Only count them, put a placeholder such as [email] in their place, or drop the row."
    )
    emails: bool = Field(True, description="E-mail addresses.")
    phones: bool = Field(True, description="Phone numbers, with a country code or written as in North America.")
    ibans: bool = Field(True, description="Bank accounts (IBAN) whose check digits are right.")
    cards: bool = Field(True, description="Card numbers of 13 to 19 digits whose Luhn digit is right.")
    ips: bool = Field(True, description="IP addresses, versions 4 and 6; those of a machine itself stay.")


class Quality(Step):
    """Bounds of a text as a whole."""

    min_words: int = Field(5, ge=0, le=1_000_000, description="Fewer words than this; Gopher asks 50 of a web page.")
    max_words: int = Field(100_000, ge=1, le=100_000_000, description="More words than this.")
    min_word_length: float = Field(3, ge=0, le=100, description="Mean characters a word; 0 for scripts without spaces.")
    max_word_length: float = Field(10, ge=0, le=10_000, description="Mean characters a word.")
    max_symbols: float = Field(0.1, ge=0, le=10, description="Hash signs and ellipses, for each word.")
    min_alphabetic: float = Field(0.8, ge=0, le=1, description="Share of words with a letter.")
    min_letters: float = Field(0.5, ge=0, le=1, description="Share of letters among characters but spaces; ours.")
    max_bullets: float = Field(0.9, ge=0, le=1, description="Share of lines that begin with a bullet.")
    max_ellipses: float = Field(0.3, ge=0, le=1, description="Share of lines that end with an ellipsis.")
    stop_words: int = Field(
        0,
        ge=0,
        le=8,
        description="How many of: the, be, to, of, and, that, have, with. Gopher asks 2; English alone.",
    )
    placeholders: bool = Field(True, description="Drop texts with “lorem ipsum”, as C4 (Raffel et al. 2020).")


class Repetition(Step):
    """Texts that say the same again; asked of those with `min_words` words, for shares of a few words say nothing."""

    min_words: int = Field(50, ge=1, le=1_000_000, description="Shorter texts are not asked.")
    max_lines: float = Field(0.3, ge=0, le=1, description="Share of lines that stood before.")
    max_paragraphs: float = Field(0.3, ge=0, le=1, description="Share of paragraphs that stood before.")
    max_line_characters: float = Field(0.2, ge=0, le=1, description="Share of characters in lines that stood before.")
    max_paragraph_characters: float = Field(0.2, ge=0, le=1, description="The same of paragraphs.")
    max_most_frequent: tuple[float, ...] = Field(
        (0.2, 0.18, 0.16),
        min_length=3,
        max_length=3,
        description="Share of characters in the most frequent 2, 3 and 4 words.",
    )
    max_repeated: tuple[float, ...] = Field(
        (0.15, 0.14, 0.13, 0.12, 0.11, 0.1), min_length=6, max_length=6,
        description="Share of characters in runs of 5, 6 ... 10 words that stood before.",
    )  # fmt: skip

    @model_validator(mode="after")
    def are_shares(self) -> Repetition:
        if not all(0 <= share <= 1 for share in (*self.max_most_frequent, *self.max_repeated)):
            raise ValueError("shares lie between 0 and 1")
        return self


class Language(Step):
    """The language that py3langid finds in the beginning of a text."""

    keep: tuple[str, ...] = Field(("en",), min_length=1, max_length=97, description="ISO 639-1 codes, such as en, de.")
    characters: int = Field(
        400, ge=20, le=10_000, description="So much of a text is looked at: it is the slowest step."
    )
    min_words: int = Field(8, ge=1, le=1000, description="Shorter texts are kept: they do not tell.")


class NearDuplicates(Step):
    """MinHash over runs of words. Two texts are compared with probability 1 - (1 - similarity ** rows) ** bands."""

    threshold: float = Field(0.4, ge=0.05, le=1, description="Share of runs of words from which two texts are one.")
    ngram: int = Field(3, ge=1, le=20, description="Words a run.")
    bands: int = Field(50, ge=1, le=256, description="Bands, of which one must agree.")
    rows: int = Field(3, ge=1, le=16, description="Hashes a band.")
    min_words: int = Field(
        20, ge=1, le=10_000, description="Shorter texts are compared exactly alone: one other word makes another text."
    )


class Decontamination(Step):
    """Rows that share a run of words with an evaluation set leave, as for GPT-3 (Brown et al. 2020, appendix C)."""

    ngram: int = Field(13, ge=5, le=50, description="Words a run.")
    shortest: int = Field(
        8,
        ge=3,
        le=50,
        description="An evaluation set's text of fewer words than a run counts as one from here on.",
    )


class CurateRecipe(Recipe):
    summary: ClassVar[str] = "Clean a corpus or instructions: filters, personal data, duplicates, evaluation sets."
    inputs: ClassVar[dict[str, str]] = {
        "corpus?": "dataset:corpus", "instructions?": "dataset:instructions",
        "against?": "dataset", "against_2?": "dataset", "against_3?": "dataset",
    }  # fmt: skip
    output: ClassVar[OutputKind] = "dataset"
    role: ClassVar[str] = "corpus"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"tiny": {}, "demo": {}}

    kind_of_dataset: Literal["corpus", "instructions"] = Field("corpus", description="What is curated, and comes out.")
    normalise: bool = Field(
        True, description="Mend broken encodings (ftfy), one form of each character (NFC), line ends."
    )
    personal_data: PersonalData | None = Field(PersonalData(), description="Look for personal data.")
    quality: Quality | None = Field(Quality(), description="Drop texts that are out of bounds.")
    repetition: Repetition | None = Field(Repetition(), description="Drop texts that repeat themselves.")
    language: Language | None = Field(None, description="Keep some languages alone.")
    exact_duplicates: bool = Field(True, description="Of equal texts keep one.")
    near_duplicates: NearDuplicates | None = Field(
        NearDuplicates(), description="Of texts that are almost equal keep one."
    )
    decontamination: Decontamination | None = Field(
        Decontamination(), description="Drop rows that overlap with the datasets given as “against”."
    )
    split: Literal["given", "content"] = Field(
        "given",
        description="Keep the split of each row (by content where nothing is held out), or split by content anew.",
    )
    examples: int = Field(3, ge=0, le=20, description="Rows shown of what each reason dropped.")

    @classmethod
    def role_of(cls, recipe: Mapping[str, Any]) -> str:
        return str(recipe.get("kind_of_dataset", cls.role))

    @model_validator(mode="after")
    def words_fit(self) -> CurateRecipe:
        if self.decontamination and self.decontamination.shortest > self.decontamination.ngram:
            raise ValueError("shortest must not be above ngram")
        if self.quality and self.quality.min_words > self.quality.max_words:
            raise ValueError("min_words must not be above max_words")
        return self

    def lacks(self, inputs: Collection[str]) -> Lack | None:
        if {"corpus", "instructions"} & set(inputs) != {self.kind_of_dataset}:
            return Lack(NOT_ONE, self.kind_of_dataset)
        return None
