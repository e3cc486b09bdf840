"""Identity and chance: equal parts give equal names, everywhere; nothing unstable gets a name at all."""

import json
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codedose.keys import DEVICES, canonical, file_digest, fingerprint, seed_for, slug

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(plain)
def test_canonical_values_pass_through_json_unchanged(value):
    assert json.loads(json.dumps(canonical(value))) == value


@pytest.mark.parametrize(
    "unstable",
    [
        {1, 2},
        b"bytes",
        lambda: 0,
        object(),
        Path("a"),
        Fraction(1, 3),
        1j,
        range(3),
        {"deep": [{"deeper": {1}}]},
        {1: "a number as a key"},
        {("a", "b"): 1},
        {None: 1},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_without_stable_text_has_no_identity(unstable):
    with pytest.raises(TypeError, match="plain values"):
        fingerprint(unstable)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_cannot_write_have_no_identity(number):
    with pytest.raises(ValueError):
        fingerprint({"learning_rate": number})


@given(st.dictionaries(st.text(), plain, min_size=1, max_size=6))
def test_the_order_of_keys_does_not_matter(settings):
    assert fingerprint(settings) == fingerprint(dict(reversed(settings.items())))


@given(plain, plain)
def test_different_values_have_different_names(one, other):
    assert (fingerprint(one) == fingerprint(other)) == (
        json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    )


def test_the_order_and_grouping_of_parts_matter():
    names = [fingerprint("a", "b"), fingerprint("b", "a"), fingerprint(["a", "b"]), fingerprint("ab"), fingerprint("a")]
    assert len(set(names)) == len(names)


def test_tuples_and_lists_are_the_same_value():
    assert fingerprint(("a", (1, 2))) == fingerprint(["a", [1, 2]])


def test_names_and_seeds_are_the_same_in_every_process_and_version():
    """Golden: a change here would run every finished step of every user again."""
    here = [fingerprint("tune", 1, {"share": 0.5, "é": None}), seed_for("mix", 0), seed_for("items", "paper", "gsm8k")]
    script = (
        "from codedose.keys import *; "
        "print(fingerprint('tune', 1, {'é': None, 'share': 0.5}), seed_for('mix', 0), "
        "seed_for('items', 'paper', 'gsm8k'))"
    )
    there = subprocess.run([sys.executable, "-X", "utf8", "-c", script], capture_output=True, text=True, check=True)
    assert there.stdout.split() == list(map(str, here))
    assert here == ["12ec21876343", 1754996842, 1846319370]


@given(st.lists(st.text(alphabet="abcdefghij", min_size=1), min_size=1, max_size=4), st.integers(0, 99))
def test_a_seed_belongs_to_its_name(names, number):
    assert seed_for(*names, number) == seed_for(*names, number)
    assert 0 <= seed_for(*names) < 2**32
    assert seed_for(*names, number) != seed_for(*names, number + 1)


def test_file_digest_is_sha256_of_the_bytes(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert file_digest(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(st.text(st.characters()) | st.text(st.sampled_from("./\\-_~ \0\n:*aÅß中")), st.integers(1, 80))
@example("", 60)
@example("..", 60)
@example("../../etc/passwd", 60)
@example("a\0b", 60)
@example(".hidden", 60)
@example("x" * 300, 60)
@example("é" * 300, 60)
@example("ａ", 60)  # a full-width twin of "a"
@example("\udcff", 60)  # a file name that is not UTF-8, as Python reads it
@example("a" + "." * 59 + "b", 60)
@example("CON", 60)
def test_a_slug_is_a_safe_part_of_a_path(name, longest):
    safe = slug(name, longest)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", safe)
    assert len(safe) <= max(longest, 8)
    assert (Path("/store") / safe).resolve() == Path("/store") / safe


@example("COM0")
@example("nul.txt")
@given(st.text(st.sampled_from("aZ09.-_/ \u212aé\0"), max_size=12) | st.text(max_size=12))
def test_a_slug_keeps_letters_digits_and_dots_and_joins_the_rest_by_single_dashes(name):
    """The names of folders that stores hold already, letter by letter."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c == ".") else "-" for c in name.lower())
    kept = "-".join(part for part in kept.split("-") if part).strip(".-")[:60].strip(".-")
    device = kept.partition(".")[0] in DEVICES
    assert not kept or slug(name) == (f"x-{kept}" if device else kept)


def test_a_slug_reads_like_its_name():
    assert slug("llama-2-7b/Half-half/d0/s0") == "llama-2-7b-half-half-d0-s0"
    assert slug("Qwen1.5 (7B)") == "qwen1.5-7b"


def test_names_of_another_script_stay_apart():
    assert slug("中文") != slug("日本")
