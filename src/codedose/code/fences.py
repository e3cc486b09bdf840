"""A text as stretches of prose and of fenced code: one reading of fences for cleaning, labels and controls.

As in CommonMark a block opens with three or more backticks or tildes and ends at a row of the same
sign that is at least as long, or with the text.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

# What follows an opening row of backticks must hold none, or it is code inside a sentence.
# Possessive throughout: a hostile line costs one pass.
FENCE = re.compile(r"[ \t>]*+(?:(`{3,}+)[ \t]*+([^\s`]*+)[^`\n]*+|(~{3,}+)[ \t]*+([^\s~]*+)[^\n]*+)\n?")
NOT_CODE = frozenset({"output", "text", "txt", "plaintext", "console-output", "markdown", "md"})
SIGNS = ("```", "~~~")


class Stretch(NamedTuple):
    """A part of a text, from `start` to `end`: prose, or what stands inside one fenced block (`fenced`).

    A fence line itself belongs to the prose around it. `tag` is the block's language in lower case,
    "" where it has none; `is_code` is false for prose and for blocks tagged as something else (output, text).
    """

    start: int
    end: int
    fenced: bool = False
    tag: str = ""

    @property
    def is_code(self) -> bool:
        return self.fenced and self.tag not in NOT_CODE


def stretches(text: str) -> Iterator[Stretch]:
    """The stretches of `text` in order, without gaps; empty ones are left out."""
    start = 0
    opener, tag = "", ""
    for begin, end in signed_lines(text) if "`" in text or "~" in text else ():
        sign, named = fence_of(text[begin:end])
        if not opener and sign:
            yield Stretch(start, end)
            opener, tag, start = sign, named, end
        elif opener and sign.startswith(opener) and not named:
            if begin > start:
                yield Stretch(start, begin, fenced=True, tag=tag)
            opener, start = "", begin
    if len(text) > start:
        yield Stretch(start, len(text), fenced=bool(opener), tag=tag if opener else "")


def signed_lines(text: str) -> Iterator[tuple[int, int]]:
    """Where each line with a row of backticks or tildes starts and ends; only a line feed ends a line."""
    place = 0
    following = {sign: text.find(sign) for sign in SIGNS}
    while found := [at for at in following.values() if at >= 0]:
        at = min(found)
        begin = text.rfind("\n", place, at) + 1 or place
        place = text.find("\n", at) + 1 or len(text)
        yield begin, place
        following = {sign: text.find(sign, place) if 0 <= at < place else at for sign, at in following.items()}


def fence_of(line: str) -> tuple[str, str]:
    """The row of backticks or tildes that a line opens or closes a block with, and its tag; else nothing."""
    found = FENCE.fullmatch(line)
    return (found[1] or found[3], (found[2] or found[4] or "").lower()) if found else ("", "")
