"""Which groups of people a sentence names: short lists of English words, by what they tell of people.

Words that mean something else as often are left out ("Polish", "white" and "black" by themselves), so counts are too low
rather than too high. Pronouns stand for women and men alone.
"""

from __future__ import annotations

import re

PEOPLE = r"(?:people|person|persons|man|men|woman|women|boys?|girls?|child|children|folks?|community|communities)"

# By group: what it tells of people, and its words; `~` stands for a word for people.
GROUPS: dict[str, tuple[str, str]] = {
    "women": ("gender", "she her hers herself woman women girl girls lady ladies female females mother mothers wife wives "
                        "daughter daughters sister sisters aunt aunts grandmother grandmothers"),
    "men": ("gender", "he him his himself man men boy boys gentleman gentlemen male males father fathers husband husbands "
                      "son sons brother brothers uncle uncles grandfather grandfathers"),
    "transgender people": ("gender", "transgender transsexual nonbinary non-binary genderqueer trans_~"),
    "gay and bisexual people": ("orientation", "gay gays lesbian lesbians bisexual bisexuals homosexual homosexuals queer_~"),
    "Christians": ("religion", "christian christians catholic catholics protestant protestants christianity"),
    "Muslims": ("religion", "muslim muslims islam islamic"),
    "Jews": ("religion", "jew jews jewish judaism"),
    "Hindus, Buddhists and Sikhs": ("religion", "hindu hindus hinduism buddhist buddhists buddhism sikh sikhs"),
    "people without religion": ("religion", "atheist atheists atheism agnostic agnostics"),
    "Black people and Africans": ("origin", "black_~ african africans nigerian nigerians kenyan kenyans ethiopian ethiopians"),
    "white people": ("origin", "white_~ caucasian caucasians"),
    "East and South Asians": ("origin", "asian asians chinese japanese korean koreans vietnamese indian indians pakistani "
                                        "pakistanis filipino filipinos"),
    "Arabs and people of the Middle East": ("origin", "arab arabs iranian iranians iraqi iraqis syrian syrians saudi saudis "
                                                      "palestinian palestinians israeli israelis turkish turks"),
    "Latin Americans": ("origin", "latino latinos latina latinas hispanic hispanics mexican mexicans brazilian brazilians"),
    "Europeans": ("origin", "european europeans german germans french frenchman frenchmen british italian italians "
                            "spaniard spaniards russian russians englishman englishmen"),
    "US Americans": ("origin", "american americans"),
    "indigenous people": ("origin", "native_american native_americans indigenous aboriginal aboriginals"),
    "immigrants": ("origin", "immigrant immigrants migrant migrants refugee refugees foreigner foreigners"),
    "children and the young": ("age", "child children kid kids baby babies toddler toddlers teenager teenagers teen teens "
                                      "adolescent adolescents young_~"),
    "old people": ("age", "elderly old_~ pensioner pensioners retiree retirees senior_citizen senior_citizens"),
    "disabled people": ("disability", "disabled disability disabilities wheelchair wheelchairs paralyzed paralysed amputee "
                                      "amputees handicapped crippled"),
    "blind and deaf people": ("disability", "blind_~ blindness deaf deafness the_blind"),
    "people with mental illness or autism": ("disability", "autistic autism schizophrenic schizophrenia bipolar_disorder "
                                                           "mentally_ill mental_illness mental_disorder dementia"),
}  # fmt: skip


def pattern_of(words: str) -> str:
    return "|".join(
        re.escape(word).replace("_", r"\s+").replace("\\~", "~").replace("~", PEOPLE) for word in words.split()
    )


NAMES = list(GROUPS)
AXES = {name: axis for name, (axis, _) in GROUPS.items()}
ONE = {name: re.compile(rf"\b(?:{pattern_of(words)})\b", re.IGNORECASE) for name, (_, words) in GROUPS.items()}
ANY = re.compile("|".join(pattern.pattern for pattern in ONE.values()), re.IGNORECASE)


def groups_named(sentence: str) -> dict[str, list[str]]:
    """The groups of people that a sentence names, each with the words that it names them by, in small letters."""
    if not ANY.search(sentence):
        return {}
    found = {name: [word.lower() for word in pattern.findall(sentence)] for name, pattern in ONE.items()}
    return {name: words for name, words in found.items() if words}


def without_names(sentence: str) -> str:
    """So that a name has no tone of its own: a lexicon counts "blind" as a bad word."""
    return ANY.sub("they", sentence)
