"""What a person states in a YAML file -> one typed, frozen value, or one StudyError with file, line and mend.

Studies and tasks of one's own are read here. YAML allows more than they hold: what is strange is refused, never
guessed at.
"""

import difflib
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from codedose.errors import StudyError

LARGEST_FILE = 200_000  # bytes; such a file is a page of text, and YAML takes seconds for a megabyte
MOST_NODES = 100_000  # after aliases are followed, so that nested ones cannot explode
PLAIN = ("map", "seq", "str", "int", "float", "bool", "null", "merge")

Value = TypeVar("Value", bound=BaseModel)


def file_text(path: Path, kind: str, mend: str) -> str:
    """What stands in the file of a `kind` ("study"); `mend` follows where there is none."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise StudyError(f"{path}: is larger than {LARGEST_FILE:,} bytes; a {kind} file is a page of text")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StudyError(f"{path}: there is no such {kind} file{mend}") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise StudyError(f"{path}: cannot be read as UTF-8 text ({problem})") from problem


def stated(text: str, name: str, model: type[Value], kind: str, mend: str) -> Value:
    """The `model` that `text` states; errors call the file `name` and what it holds a `kind`."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            raise StudyError(f"{name}: is empty{mend}")
        refuse_strange(root, name, kind)
        data = json.dumps(yaml.load(text, Loader=yaml.SafeLoader), allow_nan=False)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark else ""
        raise StudyError(f"{name}: {place}is not valid YAML ({getattr(problem, 'problem', problem)})") from problem
    except RecursionError:
        raise StudyError(
            f"{name}: its values stand too deep inside each other; a {kind} file is a page of text"
        ) from None
    except (TypeError, ValueError) as problem:
        raise StudyError(f"{name}: holds a value that a {kind} cannot hold ({problem})") from problem
    try:
        return model.model_validate_json(data)
    except ValidationError as problem:
        lines = [say(error, root, model) for error in innermost(problem.errors(include_url=False))]
        raise StudyError("\n".join(f"{name}: {line}" for line in lines)) from None


def refuse_strange(root: yaml.Node, name: str, kind: str) -> None:
    """Refuse what YAML allows and these files do not: values of other types than text, numbers and yes or no,
    aliases that multiply, and a later key that replaces an earlier one in silence."""
    for count, node in enumerate(nodes(root)):
        if count > MOST_NODES:
            raise StudyError(f"{name}: holds more than {MOST_NODES:,} values; a {kind} file is a page of text")
        if strange := strangeness(node, kind):
            raise StudyError(f"{name}: line {node.start_mark.line + 1}: {strange}")
        if isinstance(node, yaml.MappingNode):
            refuse_duplicates(node, name)


def strangeness(node: yaml.Node, kind: str) -> str:
    """What keeps a node out of a file of this kind; empty when nothing does."""
    tag = node.tag.removeprefix("tag:yaml.org,2002:")
    if tag not in PLAIN:
        what = shorten(node.value) if isinstance(node, yaml.ScalarNode) else "this"
        return f"{what} is a {tag} to YAML; if it is text, put it in quotes"
    if isinstance(node, yaml.MappingNode) and any(not isinstance(key, yaml.ScalarNode) for key, _ in node.value):
        return "a key must be a word"
    if (tag == "int" and len(node.value) > 30) or (tag == "float" and not math.isfinite(yaml.safe_load(node.value))):
        return f"{shorten(node.value)} is not a number that a {kind} can hold"
    if tag == "str" and not node.value.isascii() and any("\ud800" <= c <= "\udfff" for c in node.value):
        return "holds half of a character (a lone surrogate)"
    return ""


def refuse_duplicates(node: yaml.MappingNode, name: str) -> None:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.value in seen:
            raise StudyError(f"{name}: line {line}: {key.value!r} stands already in line {seen[key.value]}")
        seen[key.value] = line


def nodes(node: yaml.Node) -> Iterator[yaml.Node]:
    """Every node below `node`, itself first."""
    yield node
    if isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from nodes(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from nodes(value)


def innermost(errors: Sequence[Any]) -> list[Any]:
    """The errors without those that only follow from another one further in, such as a list that a bad entry left."""
    places = [error["loc"] for error in errors]
    return [e for e in errors if not any(p != e["loc"] and p[: len(e["loc"])] == e["loc"] for p in places)]


def say(error: Any, root: yaml.Node, model: type[BaseModel]) -> str:
    """One validation error as a sentence with its line and, where there is one, the nearest right word."""
    place = ".".join(str(part) for part in error["loc"])
    line = f"line {line_of(root, error['loc'])}: "
    if error["type"] == "extra_forbidden":
        known = keys_at(model, error["loc"][:-1])
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"{line}{place} is not a key here; {hint}known keys: {', '.join(known)}"
    if error["type"] == "missing":
        return f"{line}{place} is missing; nothing that decides the result has a default"
    if error["type"] in ("too_short", "too_long"):
        few = error["type"] == "too_short"
        bound = f"at least {error['ctx']['min_length']}" if few else f"at most {error['ctx']['max_length']}"
        return f"{line}{place}: must have {bound} entries, not {error['ctx']['actual_length']}"
    message = error["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if error["type"] == "value_error":  # from a check of whole sections: the message begins with its place
        named = re.match(r"[\w.]*", message)[0].split(".")  # type: ignore[index]
        first = tuple(int(part) if part.isdecimal() else part for part in named)
        return f"line {line_of(root, (*error['loc'], *first))}: {place}{': ' if place else ''}{message}"
    return f"{line}{place}{': ' if place else ''}{message}, not {shorten(error['input'])}{number_hint(error)}"


def number_hint(error: Any) -> str:
    """Why YAML did not see a number where a person sees one."""
    if error["type"] not in ("float_type", "int_type") or not isinstance(error["input"], str):
        return ""
    return " (text to YAML: a number stands without quotes, and an exponent needs a point, as in 2.0e-5)"


def shorten(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def line_of(root: yaml.Node, loc: tuple[int | str, ...]) -> int:
    """The line (from 1) of the deepest node on the way to `loc`."""
    node, line = root, root.start_mark.line + 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def keys_at(root: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys that the section at `loc` may hold."""
    model: Any = root
    for part in loc:
        if isinstance(part, int):
            continue
        model = model.model_fields[part].annotation
        while not (isinstance(model, type) and issubclass(model, BaseModel)):
            model = model.__args__[0]
    return list(model.model_fields)
