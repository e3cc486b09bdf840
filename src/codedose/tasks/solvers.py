"""Answers from the text of a question alone, for checking generators and official golds.

Nothing here knows how a question was made. Each solver reads both our own wording and that of the
official items, and raises ValueError for a text that it cannot follow.
"""

import re
from collections.abc import Iterable

Fact = tuple[str, str, str]  # (whose, relation, who): whose relation is who


def join_first_letters(question: str) -> str:
    return "".join(word[0] for word in quoted(question).split()).lower()


def join_last_letters(question: str) -> str:
    return "".join(word[-1] for word in quoted(question).split()).lower()


def reverse_order(question: str) -> str:
    return ", ".join(reversed([item.strip() for item in quoted(question).split(",")]))


def quoted(question: str) -> str:
    found = re.search(r'"([^"]+)"', question)
    if not found:
        raise ValueError("no quoted words in the question")
    return found[1]


def follow_coin(question: str) -> str:
    """yes if the coin was turned an even number of times, else no."""
    story, asked, _ = re.split(r"((?:Is|Does) the coin still|$)", question, maxsplit=1)
    deeds = re.findall(r"\b(flips|turns|not flip|leaves) the coin", story)
    if not asked or not deeds:
        raise ValueError("no coin is turned in this question")
    return "no" if sum(deed in ("flips", "turns") for deed in deeds) % 2 else "yes"


SINGULAR = {"mice": "mouse", "wolves": "wolf", "sheep": "sheep", "foxes": "fox"}


def singular(word: str) -> str:
    word = word.lower()
    if word.endswith("uses"):  # the kinds of the official ontologies: jompuses, yumpuses
        return word[:-2]
    return SINGULAR.get(word) or (word[:-1] if word.endswith("s") and not word.endswith("us") else word)


def find_fear(question: str) -> str:
    """bAbI 15: the kind that the named animal's kind is afraid of."""
    fears = {
        singular(kind): singular(feared)
        for kind, feared in re.findall(r"(\w+) (?:are afraid of|live in fear of) (\w+)\.", question)
    }
    kinds = {name.lower(): kind.lower() for name, kind in re.findall(r"(\w+) is an? (\w+)\.", question)}
    same = [(a.lower(), b.lower()) for a, b in re.findall(r"(\w+) and (\w+) are the same kind", question)]
    for _ in same:
        for a, b in same:
            known = kinds.get(a) or kinds.get(b)
            if known:
                kinds[a] = kinds[b] = known
    asked = re.search(r"What is (\w+) afraid of\?|Which kind of animal scares (\w+)\?", question)
    name = (asked[1] or asked[2]).lower() if asked else ""
    if kinds.get(name) not in fears:
        raise ValueError("the question does not say what this animal fears")
    return fears[kinds[name]]


def find_colour(question: str) -> str:
    """bAbI 16: the colour of that animal of the asked kind whose kind is told last.

    The official items keep to this rule where animals of one kind differ in colour.
    """
    *sentences, asked = re.findall(r"[^.?]+[.?]", question)
    kinds: dict[str, str] = {}  # in the order told
    colours: dict[str, str] = {}
    for sentence in sentences:
        name = sentence.split()[0].strip(",")
        if kind := re.search(r"\ban? (\w+)", sentence):
            kinds[name] = kind[1]
        if colour := re.search(r"(?:\bis|the color) (?!an? )(\w+)\.", sentence):
            colours[name] = colour[1]
    found = re.search(r"What color is (\w+)\?|Which color does (\w+) most likely have\?", asked)
    one = (found[1] or found[2]) if found else ""
    alike = [name for name in kinds if one in kinds and kinds[name] == kinds[one] and name in colours]
    if not alike:
        raise ValueError("no animal of that kind has a color in this question")
    return colours[alike[-1]]


CLAIM = re.compile(r"\b(?:(Each|Every|Any|No|All) )?(\w+) (?:is|are)( not| never)? (?:an? )?(\w+)[.?!]?", re.IGNORECASE)


def judge_claim(question: str) -> str:
    """PrOntoQA: True or False, from what follows step by step from the named one's kind."""
    story, asked, claim = re.split(r"(true or false[?:])", question, maxsplit=1, flags=re.IGNORECASE)
    rules: dict[str, set[tuple[str, bool]]] = {}
    for quantifier, kind, negation, what in CLAIM.findall(story.replace("Is the following statement", "")):
        holds = not negation and quantifier.lower() != "no"
        rules.setdefault(singular(kind), set()).add((singular(what), holds))
    found = CLAIM.search(claim)
    if not asked or not found:
        raise ValueError("no claim to judge in this question")
    known: set[tuple[str, bool]] = set()
    fresh = {(singular(found[2]), True)}
    while fresh:
        known |= fresh
        fresh = {rule for what, holds in fresh if holds for rule in rules.get(what, ())} - known
    what, holds = singular(found[4]), not found[3]
    if ((what, True) in known) == ((what, False) in known):
        raise ValueError("the claim neither follows nor is refuted")
    return str((what, holds) in known)


# Relations without gender: (of a woman, of a man).
RELATIONS = {
    "parent": ("mother", "father"),
    "child": ("daughter", "son"),
    "sibling": ("sister", "brother"),
    "spouse": ("wife", "husband"),
    "grandparent": ("grandmother", "grandfather"),
    "grandchild": ("granddaughter", "grandson"),
    "pibling": ("aunt", "uncle"),
    "nibling": ("niece", "nephew"),
    "parent_in_law": ("mother-in-law", "father-in-law"),
    "child_in_law": ("daughter-in-law", "son-in-law"),
}
GENDERLESS = {word: relation for relation, words in RELATIONS.items() for word in words}
INVERSE = {
    "parent": "child", "child": "parent", "sibling": "sibling", "spouse": "spouse", "pibling": "nibling",
    "nibling": "pibling", "grandparent": "grandchild", "grandchild": "grandparent",
    "parent_in_law": "child_in_law", "child_in_law": "parent_in_law",
}  # fmt: skip

# (a's x is b, b's y is c): what c is to a. People are distinct, siblings share both parents.
SURE = {
    ("parent", "parent"): "grandparent", ("parent", "sibling"): "pibling", ("parent", "spouse"): "parent",
    ("parent", "child"): "sibling", ("child", "child"): "grandchild", ("child", "sibling"): "child",
    ("child", "spouse"): "child_in_law", ("child", "parent"): "spouse", ("sibling", "sibling"): "sibling",
    ("sibling", "parent"): "parent", ("sibling", "child"): "nibling", ("sibling", "grandparent"): "grandparent",
    ("sibling", "pibling"): "pibling", ("spouse", "child"): "child", ("spouse", "grandchild"): "grandchild",
    ("spouse", "parent"): "parent_in_law", ("grandparent", "spouse"): "grandparent",
    ("grandchild", "sibling"): "grandchild", ("nibling", "sibling"): "nibling",
    ("child_in_law", "child"): "grandchild", ("child_in_law", "spouse"): "child",
    ("parent_in_law", "spouse"): "parent_in_law", ("spouse", "parent_in_law"): "parent",
}  # fmt: skip
# True of blood relatives only: CLUTRR's own rules take them for granted, so they are tried last.
LIKELY = {
    ("pibling", "parent"): "grandparent", ("pibling", "sibling"): "pibling", ("grandchild", "parent"): "child",
    ("child", "grandparent"): "parent", ("nibling", "parent"): "sibling", ("child", "pibling"): "sibling",
    ("grandparent", "child"): "pibling", ("grandchild", "pibling"): "child", ("parent", "grandchild"): "nibling",
    ("grandchild", "grandparent"): "spouse", ("parent", "grandparent"): "grandparent",
}  # fmt: skip


def related(facts: Iterable[Fact], whose: str, who: str) -> str:
    """The relation without gender that `who` is to `whose`, by composing `facts` (genderless too)."""
    known: dict[tuple[str, str], str] = {}
    for one, relation, other in facts:
        known.setdefault((one, other), relation)
        known.setdefault((other, one), INVERSE[relation])
    compose(known, SURE)
    while (whose, who) not in known and compose(known, LIKELY, most=1):
        compose(known, SURE)
    if (whose, who) not in known:
        raise ValueError(f"nothing follows about {whose} and {who}")
    return known[whose, who]


def compose(known: dict[tuple[str, str], str], rules: dict[tuple[str, str], str], most: int = 10**6) -> int:
    """Add to `known` what `rules` give, at most `most` new pairs; how many were new."""
    added, grew = 0, True
    while grew and added < most:
        grew = False
        for (a, b), x in list(known.items()):
            for (b2, c), y in list(known.items()):
                if b2 != b or a == c or (a, c) in known or (x, y) not in rules:
                    continue
                known[a, c] = rules[x, y]
                known[c, a] = INVERSE[rules[x, y]]
                added, grew = added + 1, True
                if added >= most:
                    return added
    return added


WORD = "|".join(sorted(GENDERLESS, key=len, reverse=True))
SENTENCES = (
    re.compile(rf"(?P<whose>\w+)'s (?P<word>{WORD}) is (?P<who>\w+)"),
    re.compile(rf"(?P<who>\w+) is (?P<whose>\w+)'s (?P<word>{WORD})"),
    re.compile(rf"(?P<who>\w+) is the (?P<word>{WORD}) of (?P<whose>\w+)"),
    re.compile(rf"(?P<whose>[A-Z]\w+) [a-z ]+ (?:his|her) (?P<word>{WORD}) (?P<who>[A-Z]\w+)"),
)


def find_kin(question: str) -> str:
    """The family word for the second person of the closing question; every sentence must be a plain one."""
    *sentences, asked = re.findall(r"[^.?]+[.?]", question)
    closing = re.search(r"What relation is (\w+) to (\w+)\?|How is (\w+) related to (\w+)\?", asked)
    if not closing:
        raise ValueError("no question about two people")
    who, whose = closing[1] or closing[3], closing[2] or closing[4]
    facts, women = [], {}
    for sentence in sentences:
        fits = [found for pattern in SENTENCES if (found := pattern.fullmatch(sentence.strip(" .")))]
        if not fits:
            raise ValueError(f"cannot follow {sentence.strip()!r}")
        word = fits[0]["word"]
        facts.append((fits[0]["whose"], GENDERLESS[word], fits[0]["who"]))
        women[fits[0]["who"]] = word == RELATIONS[GENDERLESS[word]][0]
    if who not in women:
        raise ValueError(f"nothing says whether {who} is a woman or a man")
    return RELATIONS[related(facts, whose, who)][0 if women[who] else 1]
