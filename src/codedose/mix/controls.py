"""Negative controls: coding conversations without what could make their code teach.

Messages flow in and out. Only what stands inside fenced code changes; every character around it,
the fences too, stays as it is. What is done follows from the example's name alone, never from chance.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

from codedose.code.fences import stretches
from codedose.mix.code import PYTHON, Token, is_authored, style_of, tokens

Message = dict[str, str]
Rewrite = Callable[[str, str], str]  # a block and its tag -> the block


def no_comments(messages: Sequence[Message], example_id: str) -> list[Message]:
    """Code without comments and without Python's docstrings. A line that held nothing else goes with them."""
    return rewritten(messages, lambda block, tag: without_comments(block, tag))


def scrambled_identifiers(messages: Sequence[Message], example_id: str) -> list[Message]:
    """Code whose names have changed places: each name of the conversation's code becomes another one of them.

    Names are permuted rather than made up, so that lengths and vocabulary stay what they were and no two
    names become one. Words of a language, strings, comments, mark-up, style sheets and shell commands stay.
    """
    names = sorted({name for block, tag in blocks(messages) for name in names_of(block, tag)})
    order = sorted(names, key=lambda name: hashlib.sha256(f"{example_id}/name/{name}".encode()).digest())
    becomes = dict(zip(order, order[1:] + order[:1], strict=True))
    return rewritten(messages, lambda block, tag: renamed(block, tag, becomes))


def shuffled_lines(messages: Sequence[Message], example_id: str) -> list[Message]:
    """Code whose lines stand in another order within each block."""
    numbers = iter(range(10**9))
    return rewritten(messages, lambda block, tag: reordered(block, f"{example_id}/{next(numbers)}"))


CONTROLS: Mapping[str, Callable[[Sequence[Message], str], list[Message]]] = {
    "no_comments": no_comments,
    "scrambled_identifiers": scrambled_identifiers,
    "shuffled_lines": shuffled_lines,
}


def blocks(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """The blocks of code of a conversation, each with its tag."""
    return [
        (message["content"][part.start : part.end], part.tag)
        for message in messages
        for part in stretches(message["content"])
        if part.is_code
    ]


def rewritten(messages: Sequence[Message], rewrite: Rewrite) -> list[Message]:
    """The messages with every block of code rewritten. One that would no longer end its line keeps its line's end."""
    told = []
    for message in messages:
        text = message["content"]
        parts = []
        for part in stretches(text):
            piece = text[part.start : part.end]
            if part.is_code:
                after = rewrite(piece, part.tag)
                piece = after + "\n" if piece.endswith("\n") and after and not after.endswith("\n") else after
            parts.append(piece)
        told.append({**message, "content": "".join(parts)})
    return told


def without_comments(block: str, tag: str) -> str:
    style = style_of(tag, block)
    if style is None:
        return block
    found = list(tokens(block, style))
    gone = [token for token in found if token.kind == "comment" and not block.startswith("#!", token.start)]
    stand_in: dict[int, str] = {}
    if style is PYTHON:
        documents = docstrings(block, found)
        covered = {token.end for token in documents}
        gone = sorted([*(token for token in gone if token.end not in covered), *documents], key=lambda t: t.start)
        stand_in = {token.start: "pass" for token in documents if is_alone(block, token)}
    return cut_out(block, gone, stand_in)


def cut_out(block: str, gone: Sequence[Token], stand_in: Mapping[int, str]) -> str:
    """`block` without the tokens, the spaces before one that ends its line, and the lines that held nothing else."""
    parts: list[str] = []
    place = 0
    for token in gone:
        before = block[place : token.start]
        end = line_end(block, token.end)
        alone = indent(block, token.start) is not None if end is not None else False
        word = stand_in.get(token.start, "")
        place = token.end
        if word:
            parts += [before, word]
        elif alone and end is not None:
            parts.append(before.rstrip(" \t"))
            place = min(end + 1, len(block))
        elif end is not None:
            parts.append(before.rstrip(" \t"))
        else:
            parts += [before, " " if touches(block, token) else ""]
    return "".join(parts) + block[place:]


def line_end(text: str, place: int) -> int | None:
    """Where the line ends, when only blanks stand between there and `place`; looks no further than the first other."""
    while place < len(text) and text[place] in " \t\r":
        place += 1
    return place if text[place : place + 1] in ("", "\n") else None


def indent(text: str, place: int) -> int | None:
    """How many blanks stand before `place` on its line, when there is nothing else."""
    start = place
    while start > 0 and text[start - 1] in " \t":
        start -= 1
    return place - start if start == 0 or text[start - 1] == "\n" else None


def touches(block: str, token: Token) -> bool:
    """Whether words would grow together without the token."""
    around = block[token.start - 1 : token.start] + block[token.end : token.end + 1]
    return len(around) == 2 and all(sign.isalnum() or sign == "_" for sign in around)


def docstrings(block: str, found: Sequence[Token]) -> list[Token]:
    """Strings in three quotes that are statements of their own: first, or below a colon."""
    comments = {token.end: token.start for token in found if token.kind == "comment"}
    begins = {start: end for end, start in comments.items()}
    told = []
    for token in found:
        quoted = block[token.start : token.end].lstrip("rRbBuUfF")
        head = quoted[:3]
        closed = len(quoted) >= 6 and quoted.endswith(head)
        if token.kind != "string" or head not in ('"""', "'''") or not closed:
            continue
        after = token.end
        while block[after : after + 1] in (" ", "\t"):
            after += 1
        end = begins.get(after, token.end)  # a comment behind it goes with it
        if line_end(block, end) is None or indent(block, token.start) is None:
            continue
        before = significant_before(block, token.start, comments)
        if before < 0 or block[before] == ":":
            told.append(Token("comment", token.start, end))
    return told


def significant_before(block: str, place: int, comments: Mapping[int, int]) -> int:
    """The place of the last character before `place` that is neither blank nor comment; -1 for none."""
    place -= 1
    while place >= 0 and (block[place].isspace() or place + 1 in comments):
        place = comments[place + 1] - 1 if place + 1 in comments else place - 1
    return place


def is_alone(block: str, token: Token) -> bool:
    """Whether a docstring is all its body holds: what follows is less indented, or nothing."""
    own = indent(block, token.start) or 0
    place = token.end
    while (place := block.find("\n", place) + 1) and place < len(block):
        first = place
        while first < len(block) and block[first] in " \t":
            first += 1
        if block[first : first + 1] not in ("", "\r", "\n", "#"):
            return first - place < own
    return own > 0


def names_of(block: str, tag: str) -> list[str]:
    """The names in a block that its author chose."""
    style = style_of(tag, block)
    if style is None or not style.names:
        return []
    found = (block[token.start : token.end] for token in tokens(block, style) if token.kind == "name")
    return [name for name in found if is_authored(name)]


def renamed(block: str, tag: str, becomes: Mapping[str, str]) -> str:
    style = style_of(tag, block)
    if style is None or not style.names:
        return block
    parts, place = [], 0
    for token in tokens(block, style):
        if token.kind == "name":
            name = block[token.start : token.end]
            parts += [block[place : token.start], becomes.get(name, name)]
            place = token.end
    return "".join(parts) + block[place:]


def reordered(block: str, name: str) -> str:
    lines = block.removesuffix("\n").split("\n")
    order = sorted(range(len(lines)), key=lambda line: hashlib.sha256(f"{name}/line/{line}".encode()).digest())
    return "\n".join(lines[line] for line in order) + ("\n" if block.endswith("\n") else "")
