"""Chunks of a conversation come together again; what only looks like chunks stays apart."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codedose.pool.read import Reading, joined, read
from codedose.study import Source

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def reading(reference: str, roles_and_texts: str, *, problem: str = "", shape: str = "ShareGPT") -> Reading:
    """Turns as letters: small ones are what a user says, capitals what an assistant says."""
    messages = [{"role": "assistant" if c.isupper() else "user", "content": c} for c in roles_and_texts]
    return Reading("s", "l", reference, 0, f"{shape}, JSON array", messages, None, problem)


def told(readings: list[Reading]) -> list[tuple[str, str, int]]:
    return [(r.reference, "".join(m["content"] for m in r.messages), r.joined) for r in joined(readings)]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([("x_0", "aBcD"), ("x_4", "eF")], [("x", "aBcDeF", 1)]),
        ([("x_0", "aBcD"), ("x_3", "DeF"), ("x_5", "FgH")], [("x", "aBcDeFgH", 2)]),
        ([("x_0", "aB"), ("y_0", "cD"), ("y_2", "eF")], [("x_0", "aB", 0), ("y", "cDeF", 1)]),
        # an empty record stands before the one that bears the same number
        ([("x_0", ""), ("x_0", "aB"), ("x_2", ""), ("x_2", "cD")], [("x", "aBcD", 3)]),
        # numbered conversations
        ([("identity_0", "aB"), ("identity_1", "cD"), ("identity_2", "eF")], None),
        ([("identity_0", "aB"), ("identity_1", "aB"), ("identity_2", "aB")], None),
        ([("part_0", "a"), ("part_1", "b")], None),
        # a chunk is missing: x_4
        (
            [("x_0", "aB"), ("x_2", "cD"), ("x_6", "gH"), ("x_8", "iJ")],
            [("x", "aBcD", 1), ("x_6", "gHiJ", 1)],
        ),
        # the beginning is missing
        ([("x_2", "cD"), ("x_4", "eF")], [("x_2", "cDeF", 1)]),
        # the message that should come twice is another one
        ([("x_0", "aBcD"), ("x_3", "EfG")], None),
        # the same speaker twice
        ([("x_0", "aBc"), ("x_3", "dE")], None),
        # the same chunk twice, and another order
        ([("x_0", "aB"), ("x_0", "aB")], None),
        ([("x_2", "cD"), ("x_0", "aB")], None),
        # numbers that are none
        ([("x_0", "aB"), ("x_02", "cD")], None),
        ([("x", "aB"), ("2", "cD"), ("_2", "eF")], None),
    ],
)
def test_numbers_and_contents_decide(chunks, expected):
    readings = [reading(*chunk) for chunk in chunks]
    assert told(readings) == (expected or [(*chunk, 0) for chunk in chunks])


def test_a_record_with_a_problem_is_a_gap():
    readings = [reading("x_0", "aB"), reading("x_2", "", problem="uses tools"), reading("x_4", "eF")]
    assert told(readings) == [("x_0", "aB", 0), ("x_2", "", 0), ("x_4", "eF", 0)]
    assert [r.problem for r in joined(readings)] == ["", "uses tools", ""]


def test_only_sharegpt_has_chunks():
    readings = [reading("x_0", "aB", shape="Alpaca"), reading("x_2", "cD", shape="Alpaca")]
    assert told(readings) == [("x_0", "aB", 0), ("x_2", "cD", 0)]


@given(
    st.lists(
        st.tuples(st.integers(1, 12), st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=6)), max_size=5
    )
)
def test_what_was_cut_is_whole_again(conversations):
    """Conversations cut anywhere, each cut with or without the last message repeated, come back as they were."""
    chunks, wanted = [], []
    for number, (length, cuts) in enumerate(conversations):
        whole = "".join(letter.upper() if n % 2 else letter for n, letter in enumerate(LETTERS[: 2 * length]))
        start = end = 0
        mine = []
        for size, repeated in [*cuts, (len(whole), False)]:
            start = max(end - repeated, 0) if mine else 0
            end = min(start + size + repeated, len(whole))
            mine.append((f"c{number}_{start}", whole[start:end]))
            if end == len(whole):
                break
        chunks += mine
        name = f"c{number}" if len(mine) > 1 else f"c{number}_0"
        wanted.append((name, whole, len(mine) - 1))
    assert told([reading(*chunk) for chunk in chunks]) == wanted


def test_chunks_may_stand_on_both_sides_of_a_file_end(tmp_path: Path):
    for name, start, turns in (("a", 0, ["human", "gpt"]), ("b", 2, ["human", "gpt"])):
        row = {"id": f"x_{start}", "conversations": [{"from": role, "value": f"{name} {role}"} for role in turns]}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row))
    source = Source(path=str(tmp_path), revision=None, licence="MIT")
    (whole,) = read(source, folder=Path(), join=True)
    assert (whole.reference, whole.joined, len(whole.messages)) == ("x", 1, 4)
    assert [r.reference for r in read(source, folder=Path(), join=False)] == ["x_0", "x_2"]
