"""What cards for the Hugging Face Hub have in common: names and licences as the Hub takes them, and the text of a card.

The front matter is written by huggingface_hub, never by hand; the body is Markdown in which no text of a study,
a pool or a model is more than text.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from huggingface_hub import CardData

from codedose.keys import slug
from codedose.report.escaped import markdown

# As the Hub checks base_model and datasets.
HUB_NAME = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9_.-]+")
LANGUAGE = re.compile("[a-z]{2,3}")
# Identifiers of https://huggingface.co/docs/hub/repositories-licenses that name one text each.
LICENCES = frozenset(
    "apache-2.0 mit openrail bigscience-openrail-m cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 "
    "cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 "
    "cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-permissive-1.0 cdla-permissive-2.0 odc-by odbl pddl bsd-2-clause "
    "bsd-3-clause gpl-2.0 gpl-3.0 agpl-3.0 mpl-2.0 unlicense isc".split()
)
UNKNOWN, OTHER = "unknown", "other"  # as the Hub calls a licence that is not stated, and one that it does not list
BUILTIN = {"builtin:smollm2-135m": "HuggingFaceTB/SmolLM2-135M-Instruct"}
SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B")
TAGS = ("codedose", "code", "instruction-tuning", "dose-response")


def card(data: CardData, body: Iterable[str]) -> str:
    """The text of a README.md: the front matter of `data`, and the parts of the body with a line between them."""
    front = data.to_yaml(line_break="\n")
    return f"---\n{front}\n---\n\n" + "\n\n".join(part for part in body if part) + "\n"


def hub_name(name: str, revision: str | None) -> str | None:
    """The Hub's name of a backbone or data set of a study; None for one that is a file or folder here."""
    known = BUILTIN.get(name)
    return known or (name if revision is not None and HUB_NAME.fullmatch(name) else None)


def shown_name(name: str, revision: str | None) -> str:
    """How a card calls a source or backbone: a local one by its last part, for where it lay is nobody's business."""
    return name if revision is not None or name.startswith("builtin:") else name.rstrip("/").rpartition("/")[2] or name


def licence(stated: Iterable[str]) -> str | list[str]:
    """The Hub's identifiers of licences as their sources state them; one alone where all are the same."""
    found = sorted({licence_id(text) for text in stated}) or [UNKNOWN]
    return found[0] if len(found) == 1 else found


def licence_id(text: str) -> str:
    plain = text.strip().lower().replace(" ", "-")
    return plain if plain in LICENCES else UNKNOWN if plain in ("", "not-stated", "unknown") else OTHER


def size_category(rows: int) -> str:
    power = max(0, len(str(max(rows, 0))) - 3)
    return SIZES[min(power, len(SIZES) - 1)]


def unique_slugs(names: Sequence[str]) -> dict[str, str]:
    """A safe name for each: those that would look the same get a number."""
    found: dict[str, str] = {}
    for name in names:
        base, number = slug(name), 2
        made = base
        while made in found.values():
            made, number = f"{base}-{number}", number + 1
        found[name] = made
    return found


def language_codes(study: Mapping[str, Any]) -> list[str]:
    """The languages that a study lets in, as far as the Hub has a code for them."""
    return sorted(code for code in study["pool"]["clean"]["languages"] or () if LANGUAGE.fullmatch(code))


def quoted(text: object) -> str:
    return f"> {markdown(text)}"


def findings(summary: Sequence[str], caution: str | None) -> list[str]:
    """What the study says, and what must be known before it is believed."""
    said = [f"- {markdown(sentence)}" for sentence in summary]
    return ["\n".join(said), f"**Caution.** {markdown(caution)}" if caution else ""]


def made_by(study: Mapping[str, Any]) -> str:
    return (
        f"Made by codedose for the study `{slug(study['name'])}`: a controlled dose-response study of the share of "
        "code in an instruction-tuning mix, after arXiv 2405.20535."
    )
