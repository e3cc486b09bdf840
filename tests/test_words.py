"""Words are the same however they are written, each text's own, and the same on every machine."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codedose.words import BLOCK, ngrams, shingles, words

TEXTS = st.lists(st.text(st.one_of(st.characters(), st.sampled_from("ab s't.,019 -\n’字😀é")), max_size=40), max_size=8)


def hashes(text: str) -> list[int]:
    return words([text]).hashes.tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The CAT sat.", "the cat  sat"),
        ("1,000 sheep and 12,345,678 goats", "1000 sheep and 12345678 goats"),
        ("5.0 or 5.00, not 2.50", "5 or 5 not 2.5"),
        ("Twelve men, twenty-one apples, forty two pears, ninety", "12 men 21 apples 42 pears 90"),
        ("don't Pablo's Pablo’s", "dont pablos pablos"),
        ("don t pablo s", "dont pablos"),
        ("a—b«c»d，e😀f…g", "a b c d e f g"),
        ("1,2,3", "1 2 3"),
        ("At 5.", "at 5"),
        ("字字x", "字 字 x"),
        ("ab字cd，ef。", "ab 字 cd ef"),
        ("x" * 100 + "!", "X" * 100),
    ],
)
def test_words_written_in_two_ways_are_the_same(one, other):
    assert hashes(one) == hashes(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("5.25", "525"), ("1,00", "100"), ("é", "e"), ("ab", "ba"), ("x" * 100, "x" * 101), ("21", "20 1"), ("字", "学")],
)
def test_other_words_are_not(one, other):
    assert hashes(one) != hashes(other)


def test_hashes_never_change():
    # A golden value: another one makes every shipped fingerprint useless, so words.VERSION has to go up with it.
    cut = words(["The quick brown fox, 1,000.0 times: don't!", "字 and " + "y" * 70])
    assert cut.offsets.tolist() == [0, 7, 10]
    assert int(np.bitwise_xor.reduce(cut.hashes)) == 15721024248648277916
    assert int(np.bitwise_xor.reduce(shingles(cut, 5).hashes)) == 12943464617487726202


@given(TEXTS)
def test_a_text_has_the_same_words_alone_and_among_others(texts):
    together = words(texts)
    assert len(together) == len(texts)
    assert [together.of(place).tolist() for place in range(len(texts))] == [hashes(text) for text in texts]


@given(TEXTS, st.integers(1, 6))
def test_ngrams_are_runs_of_words_of_one_text(texts, n):
    cut = words(texts)
    grams, least = ngrams(cut, n), shingles(cut, n)
    for place, text in enumerate(texts):
        own = hashes(text)
        runs = [tuple(own[start : start + n]) for start in range(len(own) - n + 1)]
        found = grams.of(place).tolist()
        assert len(found) == len(runs)
        assert len(set(zip(runs, found, strict=True))) == len(set(runs)) == len(set(found))
        assert least.of(place).tolist() == (found or shingles(words([text]), n).hashes.tolist())
        assert len(least.of(place)) == (max(len(runs), 1) if own else 0)


@given(st.text("abcdefghiz .,;:!?()-\n\t", max_size=200))
def test_plain_text_is_cut_as_an_expression_would_cut_it(text):
    expected = re.findall("[a-z]+", re.sub(r"(?<=[a-z]) (?=[st](?![a-z]))", "", text))
    assert len(set(zip(expected, hashes(text), strict=True))) == len(set(expected))


@given(st.lists(st.sampled_from(["one", "two", "lamp", "42", "sun"]), min_size=1), st.randoms(use_true_random=False))
def test_case_spacing_and_punctuation_change_nothing(line, random):
    written = "".join(random.choice([w, w.upper(), w.title()]) + random.choice([" ", ", ", "\n", "... "]) for w in line)
    assert hashes(written) == hashes(" ".join(line))


def test_blocks_leave_no_seam():
    text = "all the words of a long text, 1,000 of them " * (3 * BLOCK // 44)
    few = hashes("all the words of a long text, 1,000 of them ")
    assert words([text, "", text]).hashes.tolist() == few * (3 * BLOCK // 44) * 2


@pytest.mark.parametrize(
    "text", ["x" * 3_000_000, "1,000" * 500_000, "1.0" * 500_000, "0." + "0" * 2_000_000, "'" * 10**6]
)
def test_hostile_text_is_cut_too(text):
    assert len(hashes(text)) <= len(text)
