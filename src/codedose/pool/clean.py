"""Conversations as they were found -> conversations fit to learn from, and a reason for each that is not.

Each rule is a pure function on the turns of one conversation, or on one text of it; `apply_rules` is their
order. What a rule changes is counted under the rule's name.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import compress
from operator import or_

import polars as pl

from codedose.code.fences import stretches
from codedose.pool import markup, personal
from codedose.pool.language import language_of
from codedose.pool.order import in_order
from codedose.pool.refusals import is_service_message, only_refuses
from codedose.pool.shapes import Message
from codedose.study import Cleaning

ONE_SIDED = "empty or one-sided: no request with a reply"
REFUSED = "its first reply only refuses"
FAILED = "its first reply is an error or limit message of the service"
TOO_LONG = "its first exchange is longer than the longest allowed, and cannot be cut outside code"
OTHER_LANGUAGE = "in a language that is not kept"
UNSETTLED = "built so that each cleaning would change it again"

CUT_EXCHANGES = "turns left out: cut at the length allowed"
CUT_REPLY = "replies cut between blocks"

PASSES = 4
BOUNDARY = re.compile(r"\n[ \t]*+\n")


@dataclass(frozen=True)
class Cleaned:
    """What the rules leave of a conversation: its messages, or none and the `reason` in plain words.

    `repairs` says how many places each rule changed; `lang` is the language of the prose (ISO 639-1, or the
    model's own three letters where that has no code), None where there is too little of it.
    """

    messages: list[Message]
    reason: str
    repairs: Mapping[str, int]
    lang: str | None


def apply_rules(messages: Sequence[Message], rules: Cleaning, sound: set[str] | None = None) -> Cleaned:
    """A conversation after every rule that `rules` names. Cleaning what it leaves again changes nothing.

    `sound` are texts known to have nothing to mend (see `sound_texts`); more are added.
    """
    left, repairs = list(messages), Counter[str]()
    sound = set() if sound is None else sound
    for _ in range(PASSES):
        left, reason, changed = clean_once(left, rules, sound)
        repairs += changed
        if reason:
            return Cleaned([], reason, {}, None)
        if not changed:
            return finished(left, rules, repairs)
    return Cleaned([], UNSETTLED, {}, None)


def finished(messages: list[Message], rules: Cleaning, repairs: "Counter[str]") -> Cleaned:
    """The conversation with its language, unless that is not one of those kept; where nobody can say, it is kept."""
    lang = language_of([message["content"] for message in messages])
    if rules.languages is not None and lang is not None and lang not in rules.languages:
        return Cleaned([], OTHER_LANGUAGE, {}, None)
    return Cleaned(messages, "", dict(repairs), lang)


def clean_once(
    messages: Sequence[Message], rules: Cleaning, sound: set[str]
) -> tuple[list[Message], str, "Counter[str]"]:
    """Every rule once. `sound` gathers the texts in which there is nothing to mend, to be spared the next time."""
    left, counts = in_order(messages)
    left, mended = mend(left, rules, sound)
    if mended:
        left, ordered = in_order(left)
        counts += mended + ordered
    if not left:
        return [], ONE_SIDED, counts
    if rules.refusals == "drop":
        left, reason, cut = until_no_reply(left)
        counts += cut
        if reason:
            return [], reason, counts
    left, cut = cut_to(left, rules.longest)
    return left, "" if left else TOO_LONG, counts + cut


# ---- texts


def sound_texts(texts: Sequence[str], rules: Cleaning) -> set[str]:
    """Texts in which no rule can find anything, by one look at all of them together: most are."""
    mended = markup.SUSPECT if rules.markup == "mend" else ()
    masked = personal.SUSPECT if rules.personal_data == "mask" else ()
    line = pl.Series(texts, dtype=pl.String)
    suspect = reduce(or_, map(line.str.contains, mended + masked), pl.repeat(False, len(texts), eager=True))
    return set(compress(texts, ~suspect))


def mend(messages: Sequence[Message], rules: Cleaning, sound: set[str]) -> tuple[list[Message], "Counter[str]"]:
    """Every text without what a page left in it, and with personal data masked, as far as `rules` say."""
    left, counts = [], Counter[str]()
    for message in messages:
        if message["content"] not in sound:
            text, changed = mend_text(message["content"], rules)
            if changed:
                counts.update(changed)
                message = {"role": message["role"], "content": text}
            else:
                sound.add(text)
        left.append(message)
    return left, counts


def mend_text(text: str, rules: Cleaning) -> tuple[str, Mapping[str, int]]:
    counts: Mapping[str, int] = {}
    if rules.markup == "mend":
        text, counts = markup.mend_markup(text)
    if rules.personal_data == "mask":
        text, masked = personal.mask(text)
        counts = {**counts, **masked}
    return text, counts


# ---- replies that are none


def until_no_reply(messages: Sequence[Message]) -> tuple[list[Message], str, "Counter[str]"]:
    """The exchanges before the first reply that refuses or is the service's, or the reason when that is the first."""
    for number, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        failed = is_service_message(message["content"])
        if failed or only_refuses(message["content"]):
            before = list(messages[: number - 1])
            if not any(earlier["role"] == "assistant" for earlier in before):
                return [], FAILED if failed else REFUSED, Counter()
            name = "an error or limit message" if failed else "a refusal"
            return before, "", Counter({f"turns left out: from {name} on": len(messages) - len(before)})
    return list(messages), "", Counter()


# ---- length


def cut_to(messages: Sequence[Message], longest: int) -> tuple[list[Message], "Counter[str]"]:
    """At most `longest` characters: whole exchanges from the start, or of the first one the blocks that fit.

    Nothing is left when the first request is too long, or its reply cannot be cut outside code.
    """
    total, end = 0, 0
    for number, message in enumerate(messages, 1):
        total += len(message["content"])
        if total > longest:
            break
        if message["role"] == "assistant":
            end = number
    if end == len(messages):
        return list(messages), Counter()
    if end:
        return list(messages[:end]), Counter({CUT_EXCHANGES: len(messages) - end})
    first = next(number for number, message in enumerate(messages) if message["role"] == "assistant")
    reply = cut_text(messages[first]["content"], longest - sum(len(message["content"]) for message in messages[:first]))
    if not reply:
        return [], Counter()
    later = len(messages) - first - 1
    left = [*messages[:first], {"role": "assistant", "content": reply}]
    return left, Counter({CUT_REPLY: 1} | ({CUT_EXCHANGES: later} if later else {}))


def cut_text(text: str, longest: int) -> str:
    """The paragraphs and whole code blocks from the start of `text` that have at most `longest` characters.

    A paragraph that announces what would be missing (it ends with a colon) is not the last one.
    """
    ends = [end for end in boundaries(text) if end <= longest]
    for end in reversed(ends):
        left = text[:end].rstrip()
        if left and not left.endswith(":"):
            return left
    return ""


def boundaries(text: str) -> list[int]:
    """Where a block of `text` ends outside fenced code: at empty lines, and before and after fenced blocks."""
    ends = []
    for stretch in stretches(text):
        if stretch.fenced:
            continue
        part = text[stretch.start : stretch.end]
        if stretch.start:
            ends.append(stretch.start + (part.find("\n") + 1 or len(part)))  # the line of the closing fence
        ends += [stretch.start + found.start() for found in BOUNDARY.finditer(part)]
    return sorted(ends)
