"""The page of a study's keys, from the study's own schema: `python docs/keys.py` writes docs/keys.md."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from codedose.study import json_schema

PAGE = Path(__file__).with_name("keys.md")
HEAD = """# Every key of a study

This page is written by `docs/keys.py` from the schema that study files are checked against, and a test compares the
two. Every key must be there; there are no defaults. Only `remote_code` may be left out, and then no code is run.
`codedose schema` prints the same for editors."""

Schema = Mapping[str, Any]
BOUNDS = (
    ("exclusiveMinimum", "above {}"),
    ("minimum", "from {}"),
    ("exclusiveMaximum", "below {}"),
    ("maximum", "to {}"),
)


def page() -> str:
    """The whole page as Markdown, one section of the study after the other."""
    schema = json_schema()
    sections = [tabled(name, part, schema["$defs"]) for name, part in sections_of("", schema, schema["$defs"])]
    return "\n\n".join([HEAD, *sections]) + "\n"


def sections_of(name: str, part: Schema, known: Schema) -> Iterator[tuple[str, Schema]]:
    """A section and all below it, each with its place in the file."""
    yield name, part
    for key, value in part["properties"].items():
        for inner, is_list in named_in(value):
            place = f"{name}.{key}".lstrip(".") + (" (each)" if is_list else "")
            yield from sections_of(place, known[inner], known)


def named_in(value: Schema, is_list: bool = False) -> Iterator[tuple[str, bool]]:
    """The sections that a value may be, by their names in the schema, and whether it is a list of them."""
    if "$ref" in value:
        yield value["$ref"].rpartition("/")[2], is_list
    for option in value.get("anyOf", ()):
        yield from named_in(option, is_list)
    if isinstance(value.get("items"), Mapping):
        yield from named_in(value["items"], True)


def tabled(name: str, part: Schema, known: Schema) -> str:
    """One section: its heading, what it is, and its keys."""
    title = f"## {name}" if name else "## The file itself"
    rows = [
        f"| `{key}` | {said(value)} | {plain(value.get('description') or whole(value, known))} |"
        for key, value in part["properties"].items()
    ]
    told = plain(" ".join(part["description"].split()))
    return "\n".join([title, "", told, "", "| key | value | meaning |", "|---|---|---|", *rows])


def whole(value: Schema, known: Schema) -> str:
    """What the section is that a value must be; nothing where it is none."""
    return " ".join(known[inner]["description"] for inner, _ in list(named_in(value))[:1])


def said(value: Schema) -> str:
    """What a value may be, in words."""
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(map(said, value["anyOf"])))
    if "$ref" in value:
        return "section"
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{each}`" for each in value["enum"])
    kind = value.get("type", "object")
    if kind == "array":
        return f"{len(value['prefixItems'])} numbers" if "prefixItems" in value else f"a list of {said(value['items'])}"
    bounds = " ".join(text.format(value[key]) for key, text in BOUNDS if key in value)
    names = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "`true` or `false`"}
    names |= {"null": "`null`", "object": "a mapping"}
    return f"{names[kind]} {bounds}".strip()


def plain(text: str) -> str:
    """Text as it may stand in a cell of a table."""
    return text.replace("|", r"\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
