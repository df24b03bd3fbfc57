"""The tone of a sentence, and rough words in it: by lexicons, which know words and no meaning.

Sentiment is VADER's (Hutto and Gilbert 2014): 7,500 words that people rated, with rules for negation and degree, from -1 to 1.
The rough words are a short list of ours: enough to find a rough dataset, far too short to clean one.
"""

from __future__ import annotations

import re
from functools import lru_cache

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from training.mechanics.profile.groups import without_names

ROUGH: dict[str, str] = {
    "insults": "idiot idiots idiotic moron morons stupid imbecile imbeciles dumbass loser losers scum trash filthy pathetic "
               "worthless disgusting pervert perverts freak freaks retard retards retarded",
    "swearing": "damn damned crap shit shitty bullshit fuck fucks fucked fucking asshole assholes bastard bastards bitch "
                "bitches piss pissed dickhead",
    "violence": "kill kills killed killing murder murdered murders stab stabbed strangle strangled torture tortured rape "
                "raped rapist slaughter slaughtered massacre massacred",
    "contempt for groups": "inferior subhuman savages vermin parasites infidel infidels heathens sissy slut sluts whore "
                           "whores hag spinster",
}  # fmt: skip
KINDS = {word: kind for kind, words in ROUGH.items() for word in words.split()}
ROUGH_WORD = re.compile(rf"\b(?:{'|'.join(KINDS)})\b", re.IGNORECASE)
END = re.compile(r"(?<=[.!?…])[\"'”’)]*\s+|\n+|(?<=[。！？])")
LONGEST = 1000  # characters of a "sentence": a table or a list without stops is read in pieces


def sentences_of(text: str) -> list[str]:
    pieces = [piece.strip() for piece in END.split(text)]
    return [p[at : at + LONGEST] for p in pieces if any(map(str.isalpha, p)) for at in range(0, len(p), LONGEST)]


def sentiment(sentence: str) -> float:
    """From -1 to 1; names of groups have none."""
    return float(analyzer().polarity_scores(without_names(sentence))["compound"])


@lru_cache(maxsize=1)
def analyzer() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()


def rough_words(text: str) -> list[str]:
    return [word.lower() for word in ROUGH_WORD.findall(text)]
