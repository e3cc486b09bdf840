"""An entry of LLaMA-Factory's dataset_info.json -> where its data is, and its records in a shape that shapes.py knows.

The keys, their defaults and which of them goes before which are those of LLaMA-Factory's data/README.md.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codedose.errors import DataError

LARGEST = 10_000_000  # bytes; LLaMA-Factory's own has 20,000
COLUMNS = {
    "alpaca": {"prompt": "instruction", "query": "input", "response": "output"},
    "sharegpt": {"messages": "conversations"},
}
TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
ROLES = {
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
ELSEWHERE = {
    "ms_hub_url": "is on the ModelScope hub; fetch it and name its files",
    "om_hub_url": "is on the Modelers hub; fetch it and name its files",
    "script_url": "is made by a script, which is never run; run it where you trust it and name what it wrote",
    "cloud_file_name": "is in a cloud storage; fetch it and name its files",
}
REFUSED = {
    "num_samples": "asks for a sample (num_samples); take that out: the budget of the arms decides how much is drawn",
    "kto_tag": "marks good and bad replies (kto_tag); write the good ones to a file of their own",
    "images": "holds images; name a source of text",
    "videos": "holds videos; name a source of text",
    "audios": "holds sounds; name a source of text",
}


@dataclass(frozen=True)
class Layout:
    """How an entry calls its columns and roles."""

    formatting: str
    columns: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict)
    ranking: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are read."""
        return (*self.columns.values(), "id", "label")

    def rearranged(self, record: object) -> object:
        """The record as ShareGPT or Alpaca; of a preference the chosen reply. Left alone when it is no mapping."""
        if not isinstance(record, Mapping):
            return record
        found = {key: record[name] for key, name in self.columns.items() if name in record}
        known = {key: record[key] for key in ("id", "label") if key in record}
        if self.formatting == "sharegpt":
            return known | self.as_sharegpt(found)
        renamed = {"prompt": "instruction", "query": "input", "response": "output"}
        if self.ranking:
            renamed |= {"chosen": "output", "response": "rejected"}
        return known | {renamed.get(key, key): value for key, value in found.items() if key != "rejected"}

    def as_sharegpt(self, found: Mapping[str, object]) -> dict[str, object]:
        turns = found.get("messages")
        if not isinstance(turns, list):
            return {"messages": turns}
        if self.ranking:
            chosen = found.get("chosen")
            turns = [*turns, *(chosen if isinstance(chosen, list) else [chosen])]
        system = {"system": found["system"]} if "system" in found else {}
        return {"conversations": [self.turn(turn) for turn in turns], **system}

    def turn(self, turn: object) -> object:
        if isinstance(turn, str) and self.ranking:
            return {"from": "assistant", "value": turn}
        if not isinstance(turn, Mapping):
            return turn
        role = turn.get(self.tags["role_tag"])
        mine = {self.tags[tag]: name for tag, name in ROLES.items()}
        return {
            "from": mine.get(role, role) if isinstance(role, str) else role,
            "value": turn.get(self.tags["content_tag"]),
        }


@dataclass(frozen=True)
class Entry:
    """Where the data of an entry is: a local path, or a hub dataset id; and its layout, where it states one."""

    local: Path | None
    hub: str
    split: str
    layout: Layout | None


def read_entry(file: Path, name: str) -> Entry:
    """The entry `name` of a dataset_info.json; "" for its only one. Raises DataError that says what is wrong."""
    entries = read_entries(file)
    if not name and len(entries) == 1:
        name = next(iter(entries))
    if name not in entries:
        names = ", ".join(ascii(known)[1:-1] for known in list(entries)[:10])
        raise DataError(f"{file}: has no entry {name!r}; write {file.name}#NAME with one of: {names}")
    place, entry = f"{file}: the entry {name!r}", entries[name]
    if not isinstance(entry, dict):
        raise DataError(f"{place} is not a mapping; it should name a file_name or an hf_hub_url")
    layout = layout_of(place, entry)
    split = text(place, entry, "split", "train")
    if hub := text(place, entry, "hf_hub_url", ""):
        inside = text(place, entry, "folder", "") or text(place, entry, "subset", "")
        return Entry(None, f"{hub}/{inside}".rstrip("/"), split, layout)
    for key, why in ELSEWHERE.items():
        if entry.get(key):
            raise DataError(f"{place} {why}")
    if not (named := text(place, entry, "file_name", "")) or "\0" in named:
        raise DataError(f"{place} names no data; give it a file_name or an hf_hub_url")
    return Entry(file.parent / named, "", split, layout)


def read_entries(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > LARGEST:
            raise DataError(f"{file}: is larger than {LARGEST:,} bytes; it should only describe data sets")
        entries = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DataError(f"{file}: there is no such file") from None
    except OSError as problem:
        raise DataError(f"{file}: cannot be read ({problem.strerror or problem})") from problem
    except (ValueError, RecursionError):
        raise DataError(f"{file}: is not a JSON file; it should be LLaMA-Factory's dataset_info.json") from None
    if not isinstance(entries, dict) or not entries:
        raise DataError(f"{file}: describes no data set; it should be LLaMA-Factory's dataset_info.json")
    return entries


def layout_of(place: str, entry: Mapping[str, Any]) -> Layout | None:
    """The layout that an entry states; None when it states none, so that records are known by their shape."""
    columns, tags = entry.get("columns") or {}, entry.get("tags") or {}
    for key, why in REFUSED.items():
        if entry.get(key) or (isinstance(columns, dict) and columns.get(key)):
            raise DataError(f"{place} {why}")
    if not (columns or tags or entry.get("formatting") or entry.get("ranking")):
        return None
    formatting = entry.get("formatting") or "alpaca"
    if not isinstance(formatting, str) or formatting not in COLUMNS:
        raise DataError(f"{place} has the formatting {ascii(formatting)[:40]}; known are alpaca and sharegpt")
    for key, said in (("columns", columns), ("tags", tags)):
        if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
            raise DataError(f"{place}: its {key} should say for each of their names what it is called")
    defaults = COLUMNS[formatting] | ({"chosen": "chosen"} if entry.get("ranking") else {})
    return Layout(formatting, defaults | columns, TAGS | tags, bool(entry.get("ranking")))


def text(place: str, entry: Mapping[str, Any], key: str, otherwise: str) -> str:
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{place}: its {key} should be text")
    return value or otherwise
