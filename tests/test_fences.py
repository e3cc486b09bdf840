"""Fences are read as CommonMark reads them, and every character of a text stands in one stretch."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codedose.code.fences import Stretch, fence_of, stretches

lines = st.sampled_from(
    [
        "```",
        "````",
        "~~~",
        "```py",
        "``` py x",
        "~~~ a`b",
        "  ```",
        "> ```",
        "``",
        "`x```",
        "```a`b",
        "text",
        "",
        "\t",
        "x = 1\r",
    ]
)
texts = st.lists(lines, max_size=12).map("\n".join) | st.text("`~\n >ab\r", max_size=60)


def line_by_line(text: str) -> list[Stretch]:
    """The definition, without haste: each line looked at in turn."""
    found, start, place, opener, tag = [], 0, 0, "", ""
    for line in text.split("\n"):
        whole = text[place : place + len(line) + 1]
        sign, named = fence_of(whole)
        if not opener and sign:
            opener, tag = sign, named
            found.append(Stretch(start, place + len(whole)))
            start = place + len(whole)
        elif opener and sign.startswith(opener) and not named:
            found.append(Stretch(start, place, fenced=True, tag=tag))
            opener, tag, start = "", "", place
        place += len(whole)
    found.append(Stretch(start, place, fenced=bool(opener), tag=tag))
    return [stretch for stretch in found if stretch.end > stretch.start]


@given(texts)
def test_stretches_are_those_of_the_definition_and_leave_no_gaps(text):
    found = list(stretches(text))
    assert found == line_by_line(text)
    assert "".join(text[each.start : each.end] for each in found) == text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a\n```py\nx = 1\n```\nb", ["x = 1\n"]),
        ("```\nx\n", ["x\n"]),
        ("````\n```\nx\n````", ["```\nx\n"]),
        ("~~~\n```\n~~~", ["```\n"]),
        ("```\n~~~\n```", ["~~~\n"]),
        ("```py\n```js\nx\n```", ["```js\nx\n"]),
        ("- item\n  ```\n  x\n  ```", ["  x\n"]),
        ("> ```\n> x\n> ```", ["> x\n"]),
        ("```\r\nx\r\n```\r\ny", ["x\r\n"]),
        ("say ```x``` inside", []),
        ("```inline``` at the start", []),
        ("```\n```", []),
        ("``\nx\n``", []),
        ("", []),
    ],
)
def test_blocks_hold_what_stands_between_their_fences(text, code):
    assert [text[each.start : each.end] for each in stretches(text) if each.fenced] == code


@pytest.mark.parametrize(
    ("tag", "is_code"), [("python", True), ("", True), ("Output", False), ("text", False), ("md", False)]
)
def test_blocks_of_output_are_not_code(tag, is_code):
    text = f"```{tag}\nabc\n```"
    (block,) = (each for each in stretches(text) if each.fenced)
    assert block.is_code is is_code


@pytest.mark.parametrize(
    "piece", ["`", "~", "```\n", "~~~\n", "```~~~\n", "``` ", "> ", "\n", "```\n~~~\n", "x```", " \t"]
)
def test_hostile_texts_cost_one_pass(piece):
    text = piece * (200_000 // len(piece))
    start = time.process_time()
    list(stretches(text))
    assert time.process_time() - start < 1


def in_code(text: str) -> int:
    """How many characters stand in fenced code."""
    return sum(each.end - each.start for each in stretches(text) if each.is_code)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("no code", 0),
        ("```python\nx = 1\n```\n", 6),
        ("see\n\n  ```\nab\ncd\n  ```\nend", 6),
        ("```\nunclosed", 8),
        ("~~~sh\nls\n~~~\n", 3),
        ("````md\n```\nx\n```\n````\n", 0),
        ("````\n```\nx\n```\n````\n", 10),
        ("```python\nx\n```\n```output\n12345\n```\n", 2),
        ("```one``` two", 0),
        ("Use ```ls``` here\n", 0),
        ("> ```\n> a\n> ```\n", 4),
        ("```\na\u2028b\n```", 4),
        ("```js title=x\na\n``` not a close\n```\n", 18),
    ],
)
def test_characters_in_fenced_code(text, count):
    assert in_code(text) == count


@given(st.text(alphabet="`~ab \n>", max_size=80))
def test_characters_in_code_are_some_of_the_characters(text):
    assert 0 <= in_code(text) <= len(text)
