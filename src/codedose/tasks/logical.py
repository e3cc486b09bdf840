"""The logical tasks: clutrr (in kinship.py), babi_deductive, babi_inductive, prontoqa."""

from itertools import pairwise
from random import Random

from codedose.tasks.kinship import CLUTRR
from codedose.tasks.solvers import find_colour, find_fear, judge_claim
from codedose.tasks.task import Problem, Task
from codedose.tasks.words import ANIMALS, COLOURS, KINDS, NAMES


def babi_deductive(rng: Random, level: int) -> Problem:
    """Kinds fear kinds, the named are of a kind; at level 4 the asked one is only told to be like another."""
    kinds = rng.sample(list(ANIMALS), (2, 3, 5, 8)[level - 1])
    fears = {kind: rng.choice([other for other in ANIMALS if other != kind]) for kind in kinds}
    names = rng.sample(NAMES, (1, 2, 4, 8)[level - 1])
    kind_of = {name: rng.choice(kinds) for name in names}
    asked = rng.choice(names)
    story = [f"{ANIMALS[kind].capitalize()} live in fear of {ANIMALS[feared]}." for kind, feared in fears.items()]
    told = [f"{name} is a {kind}." for name, kind in kind_of.items()]
    if level == 4:
        between, last = rng.sample([name for name in NAMES if name not in names], 2)
        told += [f"{asked} and {between} are the same kind of animal.", f"{last} and {between} are the same kind."]
        asked, answer = last, fears[kind_of[asked]]
    else:
        answer = fears[kind_of[asked]]
    sentences = [*story, *told]
    if level > 1:
        rng.shuffle(sentences)
    return Problem(f"{' '.join(sentences)} Which kind of animal scares {asked}?", answer)


def babi_inductive(rng: Random, level: int) -> Problem:
    """Animals of a kind share a colour; the asked one's colour follows from the others of its kind."""
    kinds = rng.sample(list(KINDS), (1, 2, 4, 7)[level - 1])
    colour_of = {kind: rng.choice(COLOURS) for kind in kinds}
    seen = kinds + [rng.choice(kinds) for _ in range((0, 0, 2, 5)[level - 1])]
    *names, asked = rng.sample(NAMES, len(seen) + 1)
    kind = rng.choice(kinds)
    if level < 3:
        story = [f"{name}, a {one}, is {colour_of[one]}." for name, one in zip(names, seen, strict=True)]
    else:
        story = [f"{name} is a {one}." for name, one in zip(names, seen, strict=True)]
        story += [f"{name} has the color {colour_of[one]}." for name, one in zip(names, seen, strict=True)]
    story.append(f"{asked} is a {kind} too.")
    if level > 2:
        rng.shuffle(story)
    return Problem(f"{' '.join(story)} Which color does {asked} most likely have?", colour_of[kind])


# Invented kinds and everyday qualities: nothing about them can be known from elsewhere.
MADE_UP = (
    "blimmet", "brundle", "corvit", "dorple", "fennick", "glorp", "grindle", "harbit", "jandle", "kelver", "lorrit",
    "mundle", "narrop", "plonter", "quindle", "rastle", "snorf", "tindle", "vexel", "wimble", "yarrit", "zindle",
)  # fmt: skip
QUALITIES = (
    "red", "blue", "round", "soft", "loud", "shiny", "sweet", "heavy", "warm", "dusty", "shy", "brave", "wet", "tall",
    "striped", "clever", "hungry", "sleepy", "fast", "noisy",
)  # fmt: skip


def prontoqa(rng: Random, level: int) -> Problem:
    """A chain of invented kinds, a quality at its end, and a kind off the chain with the opposite quality."""
    hops = rng.randint(*((0, 1), (2, 2), (3, 4), (5, 7))[level - 1])
    further = (0, 1, 2, 3)[level - 1]
    *chain, aside = rng.sample(MADE_UP, hops + further + 2)
    name, (quality, *others) = rng.choice(NAMES), rng.sample(QUALITIES, len(chain))
    holds, negated = rng.random() < 0.5, rng.random() < 0.5
    story = [quality_of(rng, chain[hops], quality, holds), quality_of(rng, aside, quality, not holds)]
    story += [rng.choice((f"All {a}s are {b}s.", f"Every {a} is a {b}.")) for a, b in pairwise(chain)]
    if level > 1:
        bearers = [kind for kind in chain if kind != chain[hops]]
        story += [quality_of(rng, kind, other, rng.random() < 0.5) for kind, other in zip(bearers, others, strict=True)]
    rng.shuffle(story)
    claim = f"{name} is {'not ' if negated else ''}{quality}."
    return Problem(f"{' '.join(story)} {name} is a {chain[0]}. True or false: {claim}", str(holds != negated))


def quality_of(rng: Random, kind: str, quality: str, holds: bool) -> str:
    if holds:
        return rng.choice((f"Any {kind} is {quality}.", f"All {kind}s are {quality}."))
    return rng.choice((f"No {kind} is {quality}.", f"All {kind}s are not {quality}."))


LOGICAL = (
    CLUTRR,
    Task(
        name="babi_deductive",
        domain="logical",
        source="Named by the reference study as bAbI deductive: bAbI task 15, Weston et al. 2015, arXiv 1502.05698.",
        instruction="Read the story and answer.",
        answer_format='End your reply with a line "Answer: <animal>".',
        answer_type="word",
        generate=babi_deductive,
        classes=(tuple(ANIMALS),) * 4,
        vocabulary={form: kind for kind, plural in ANIMALS.items() for form in (kind, plural)},
        solve=find_fear,
    ),
    Task(
        name="babi_inductive",
        domain="logical",
        source="Named by the reference study as bAbI inductive: bAbI task 16, Weston et al. 2015, arXiv 1502.05698.",
        instruction="Read the story and answer.",
        answer_format='End your reply with a line "Answer: <color>".',
        answer_type="word",
        generate=babi_inductive,
        classes=(COLOURS,) * 4,
        vocabulary={**{colour: colour for colour in COLOURS}, "grey": "gray"},
        solve=find_colour,
    ),
    Task(
        name="prontoqa",
        domain="logical",
        source="Our choice; the reference study does not name it. PrOntoQA, Saparov and He 2023, arXiv 2210.01240; "
        "official items in the selection of Logic-LM (teacherpeterpan/Logic-LLM).",
        instruction="Judge the claim from the facts.",
        answer_format='End your reply with a line "Answer: True" or "Answer: False".',
        answer_type="true_false",
        generate=prontoqa,
        classes=(("True", "False"),) * 4,
        solve=judge_claim,
    ),
)
