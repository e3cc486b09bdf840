"""Conversations -> how much of each is code: what stands in fenced blocks, and runs of code-like lines outside them."""

import polars as pl

from codedose.code.fences import SIGNS, stretches
from codedose.code.lines import code_characters

# A run of code-like lines holds a line feed and nearly always one of these; most prose has none of them, and
# is not looked at line by line.
TELLING = ("{", ";", "=", "<", "[", "_", "):", "()", "SELECT ")


def code_shares(messages: pl.Series) -> pl.Series:
    """The share of each conversation's characters that is code, from 0 to 1."""
    contents = pl.DataFrame({"messages": messages}).select(
        pl.col("messages").list.eval(pl.element().struct.field("content"))
    )
    prose: list[str] = []
    owner: list[int] = []
    code: list[int] = []
    total: list[int] = []
    for number, texts in enumerate(contents["messages"].to_list()):
        code.append(0)
        total.append(sum(map(len, texts)))
        for text in texts:
            loose, fenced = parted(text)
            code[number] += fenced
            prose += loose
            owner += [number] * len(loose)
    for number, characters in zip(owner, code_characters(prose).tolist(), strict=True):
        code[number] += characters
    return pl.Series("code_share", [some / max(all_, 1) for some, all_ in zip(code, total, strict=True)], pl.Float64)


def parted(text: str) -> tuple[list[str], int]:
    """The prose of a text that may hold code, and how many characters stand in its fenced code."""
    if not (SIGNS[0] in text or SIGNS[1] in text):
        return [text] if may_hold_code(text) else [], 0
    parts = list(stretches(text))
    prose = [text[part.start : part.end] for part in parts if not part.fenced]
    return [loose for loose in prose if may_hold_code(loose)], sum(p.end - p.start for p in parts if p.is_code)


def may_hold_code(text: str) -> bool:
    if "\n" not in text:
        return False
    return any(sign in text for sign in TELLING)
