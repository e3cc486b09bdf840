"""Near duplicates: all that an exhaustive comparison finds, no others, in any order."""

import gzip
import itertools
import json
import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codedose.pool.near import CHANCE, PERMUTATIONS, candidates, rate, repeats, rows_of_a_band, signatures

SHARED = Path(__file__).parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not SHARED.exists(), reason="shared/data is not here: no real conversations")


@cache
def shingled(text: str) -> frozenset[tuple[str, ...]]:
    """The word 5-grams of a text of plain words, by another way."""
    line = text.split()
    return frozenset(tuple(line[at : at + 5]) for at in range(max(len(line) - 4, 1))) if line else frozenset()


def similarity(one: str, other: str) -> float:
    some, others = shingled(one), shingled(other)
    return len(some & others) / len(some | others) if some and others else 0.0


def leaving(texts: list[str], order: list[int], threshold: float) -> dict[int, int]:
    pairs = candidates(signatures(texts), threshold)
    return repeats(pairs, lambda rows: [texts[row] for row in rows], order, threshold)


def greedy(texts: list[str], order: list[int], threshold: float) -> set[int]:
    """Which texts an exhaustive comparison takes out."""
    kept: list[int] = []
    for row in order:
        if all(similarity(texts[row], texts[other]) < threshold for other in kept):
            kept.append(row)
    return set(order) - set(kept)


def edited(line: list[str], edits: int, chance: random.Random) -> list[str]:
    line = list(line)
    for _ in range(edits):
        line[chance.randrange(len(line))] = chance.choice("abcdefghij")
    return line


def families(chance: random.Random, count: int) -> list[str]:
    """Texts of about 60 words in families of four, each member changed in up to six places."""
    words = [f"{a}{b}" for a in "bdfgk" for b in "aeiou"]
    found = []
    for _ in range(count):
        first = chance.choices(words, k=60)
        found += [" ".join(edited(first, chance.randrange(7), chance)) for _ in range(4)]
    return found


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9])
def test_what_leaves_is_what_an_exhaustive_comparison_finds(threshold):
    texts = families(random.Random(3), 100)
    order = random.Random(4).sample(range(len(texts)), len(texts))
    expected = greedy(texts, order, threshold)
    found = leaving(texts, order, threshold)
    assert len(set(found) ^ expected) <= (1 - CHANCE) * len(expected)
    assert all(similarity(texts[row], texts[kept]) >= threshold for row, kept in found.items())
    assert not set(found) & set(found.values())


@given(st.permutations(range(12)))
def test_the_order_of_input_changes_nothing(order):
    texts = families(random.Random(5), 3)
    preferred = {texts[row]: place for place, row in enumerate(random.Random(6).sample(range(12), 12))}
    moved = [texts[row] for row in order]
    ranked = sorted(range(12), key=lambda row: (preferred[moved[row]], moved[row]))
    found = {(moved[row], moved[kept]) for row, kept in leaving(moved, ranked, 0.6).items()}
    ranked = sorted(range(12), key=lambda row: (preferred[texts[row]], texts[row]))
    assert found == {(texts[row], texts[kept]) for row, kept in leaving(texts, ranked, 0.6).items()}


def test_a_chain_does_not_eat_itself():
    line = [f"w{n}" for n in range(200)]
    chain = [" ".join(line[start : start + 100]) for start in range(0, 60, 6)]
    found = leaving(chain, list(range(10)), 0.8)
    assert set(found) == greedy(chain, list(range(10)), 0.8)
    assert 4 <= 10 - len(found) <= 6


def test_a_crowd_leaves_for_one_and_takes_pairs_in_proportion():
    texts = [f"this same line of words greets everybody who comes here as guest number {n}" for n in range(3000)]
    order = random.Random(7).sample(range(3000), 3000)
    pairs = candidates(signatures(texts), 0.5)
    found = leaving(texts, order, 0.5)
    assert len(pairs) < 200 * len(texts)
    assert len(found) >= 0.99 * len(texts)
    assert set(leaving(texts[:5] * 500, list(range(2500)), 0.99)) == set(range(5, 2500))


def test_short_texts_repeat_only_what_is_whole_the_same():
    texts = ["Yes!", "yes", "yes please", "no", "", "...", "one two three four", "One, two, three, four."]
    assert leaving(texts, list(range(8)), 0.8) == {1: 0, 7: 6}


def test_the_rate_counts_every_member_of_a_pair():
    texts = ["a b c d e f g h", "A b c, d e f g h", "q r s t u v w x", "some other text that stands alone"]
    assert rate(texts, 0.8) == 0.5
    assert rate([], 0.8) == rate(["x"], 0.8) == 0.0


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8, 0.95])
def test_bands_find_a_pair_at_the_threshold_as_often_as_promised(threshold):
    width = rows_of_a_band(threshold)
    assert 1 - (1 - threshold**width) ** (PERMUTATIONS // width) >= CHANCE


def test_signatures_never_change():
    # A golden value: rensa's R-MinHash, version 2, of the 5-grams of words.VERSION 1.
    signed = signatures(["the quick brown fox jumps over the lazy dog", "one"])
    assert signed.shape == (2, PERMUTATIONS)
    assert int(signed.astype(np.uint64).sum()) == 880953812937


@pytest.mark.long
@needs_data
def test_on_real_text_nothing_is_missed_and_nothing_is_made_up():
    with gzip.open(SHARED / "ift" / "gpteacher_codegen.jsonl.gz", "rt") as file:
        real = [json.loads(line)["response"] for line in file][:1500]
    chance = random.Random(8)
    plain = [
        " ".join("".join(c if c.isascii() and c.isalpha() else " " for c in text.lower()).split()) for text in real
    ]
    plain = [text for text in plain if " s " not in text and " t " not in text and not text.endswith((" s", " t"))]
    texts = [text for text in plain if "one" not in text and "ten" not in text and len(text.split()) > 30][:300]
    texts += [" ".join(edited(text.split(), 1, chance)) for text in texts]
    similar = {
        pair
        for pair in itertools.combinations(range(len(texts)), 2)
        if similarity(texts[pair[0]], texts[pair[1]]) >= 0.8
    }
    found = {(int(a), int(b)) for a, b in candidates(signatures(texts), 0.8)}
    assert len(similar & found) >= CHANCE * len(similar)
    assert set(leaving(texts, list(range(len(texts))), 0.8)) == greedy(texts, list(range(len(texts))), 0.8)
