"""Examples -> labels by a model behind an OpenAI-compatible endpoint, as the reference study had ChatGPT sort ShareGPT.

A conversation goes out once as a fenced excerpt inside the packaged prompt, at temperature 0; one word comes
back. Replies are kept in a folder as they come (replies.py), so a killed run asks only the rest, and no text
is paid for twice. An example without a readable label ends the run with an error, never with a guess.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache as remembered
from importlib.resources import files
from pathlib import Path

import polars as pl
from pydantic import SecretStr

from codedose.errors import CodedoseError, DataError, MachineError, StudyError
from codedose.keys import fingerprint
from codedose.label.endpoint import REPLY_TOKENS, Line, Pace, Patience, Silent, Turned, address, client
from codedose.label.replies import UNREADABLE, Paid, Replies, load, opened
from codedose.study import Endpoint
from codedose.tables import LABELS

Progress = Callable[[int, int, str], None]

HEAD, TAIL = 4000, 2000  # characters of a longer conversation that are sent
REMINDER = "\nYour last answer was none of the three words. Answer with one word only: coding, math or other.\n"
REPLIES = 2  # the second with the reminder
# Stop rather than pay on: no label between so many replies that cannot be read, or messages that get none.
MOST_UNREADABLE, MOST_TURNED = 20, 5

CHARACTERS_A_TOKEN = 4.0  # of 400 ShareGPT conversations so cut, by SmolLM2's tokenizer: 4.05
USUAL = Patience()
WRITTEN_TOKENS = 3  # a word and the end
# What tokenizers may read as the border of a turn: a space keeps it text.
BORDERS = re.compile(r"<(?=[|｜])|[|｜](?=>)|<(?=/?s>|(?:start|end)_of_turn>|[be]os>|</?SYS>>)|\[(?=/?INST\])")
ANSWER = re.compile(r"[\"'`*]{0,3}(coding|math|other)[\"'`*]{0,3}\.?", re.IGNORECASE)


@dataclass(frozen=True)
class Cost:
    """What labelling will take: `known` conversations need not be asked again. Tokens and dollars are estimates."""

    conversations: int
    known: int
    tokens: int
    dollars: float


@dataclass(frozen=True)
class Spent:
    """What the replies about some examples have taken so far; `estimated` of them came without a count of tokens."""

    replies: int
    tokens_in: int
    tokens_out: int
    estimated: int
    dollars: float


def label_llm(
    examples: pl.DataFrame,
    *,
    endpoint: Endpoint,
    cache: Path,
    key: SecretStr | None,
    concurrency: int,
    requests_per_minute: int | None,
    progress: Progress,
    patience: Patience = USUAL,
) -> pl.DataFrame:
    """One row per example, in their order: example_id, label, confidence (null: a word has none).

    `cache` is the folder of replies; `key` (key_from_environment) goes to the endpoint's address only.
    Raises MachineError or StudyError when the endpoint cannot be asked, DataError when some conversations are
    still without a label; what was paid for is kept in either case.
    """
    url = address(endpoint, key)
    keys = keys_of(examples, endpoint)
    rows = dict(sorted(zip(keys, range(len(keys)), strict=True)))
    progress(0, len(rows), "labels")
    with opened(cache) as replies:
        left = {name: row for name, row in rows.items() if name not in replies.labels}
        asking = Asking(replies, endpoint, examples["messages"], left, progress, len(rows), Pace(requests_per_minute))
        if asking.queue:
            run(asking.ask_all(url, key, concurrency=concurrency, patience=patience))
        asking.demand_all()
        labels = [replies.labels[name] for name in keys]
    return examples.select(
        "example_id",
        pl.Series("label", labels, pl.String),
        pl.lit(None, pl.Float64).alias("confidence"),
    )


def cost(examples: pl.DataFrame, endpoint: Endpoint, cache: Path) -> Cost:
    """What it will take to ask about the examples that `cache` does not know, if every first reply can be read."""
    known = load(cache)
    done = known.labels.keys() | {name for name in known.unreadable if given_up(known, name)}
    lengths = {key_of(text, endpoint): len(message(text)) for text in excerpts(examples)}
    left = [length for name, length in lengths.items() if name not in done]
    tokens_in = sum(map(estimated_tokens, left))
    tokens_out = WRITTEN_TOKENS * len(left)
    return Cost(len(left), len(lengths) - len(left), tokens_in + tokens_out, dollars(endpoint, tokens_in, tokens_out))


def spent(examples: pl.DataFrame, endpoint: Endpoint, cache: Path) -> Spent:
    """What the replies about these examples in `cache` have taken, in this run and earlier ones."""
    wanted = set(keys_of(examples, endpoint))
    paid = [reply for reply in load(cache).paid if reply.key in wanted]
    tokens_in, tokens_out = sum(reply.tokens_in for reply in paid), sum(reply.tokens_out for reply in paid)
    estimated = sum(not reply.counted for reply in paid)
    return Spent(len(paid), tokens_in, tokens_out, estimated, dollars(endpoint, tokens_in, tokens_out))


def dollars(endpoint: Endpoint, tokens_in: int, tokens_out: int) -> float:
    return (tokens_in * endpoint.dollars_per_million_in + tokens_out * endpoint.dollars_per_million_out) / 1e6


def estimated_tokens(characters: int) -> int:
    return round(characters / CHARACTERS_A_TOKEN)


@remembered
def prompt() -> str:
    """The packaged prompt."""
    return (files("codedose.label") / "prompt.md").read_text(encoding="utf-8")


@remembered
def prompt_version() -> str:
    """The identity of everything that is said around a conversation, and of how much of one is sent."""
    return fingerprint(prompt(), REMINDER, HEAD, TAIL, BORDERS.pattern, REPLY_TOKENS)


def keys_of(examples: pl.DataFrame, endpoint: Endpoint) -> list[str]:
    """The key of each example's text, in the examples' order; equal texts have one."""
    return [key_of(text, endpoint) for text in excerpts(examples)]


def key_of(text: str, endpoint: Endpoint) -> str:
    """The name of one reply: prompt, model and text as sent. Whole SHA-256, since texts may be made to collide."""
    named = json.dumps([prompt_version(), endpoint.model, text])
    return hashlib.sha256(named.encode()).hexdigest()


def excerpts(examples: pl.DataFrame) -> Iterator[str]:
    return (excerpt(messages) for messages in examples["messages"])


def excerpt(messages: Sequence[Mapping[str, str]]) -> str:
    """A conversation as it is sent: who says what, its head and tail where it is long, and no borders of turns."""
    text = "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)
    left_out = len(text) - HEAD - TAIL
    if left_out > 0:
        text = f"{text[:HEAD]}\n[... {left_out} characters left out ...]\n{text[-TAIL:]}"
    return BORDERS.sub(lambda found: found[0] + " ", text)


def message(text: str) -> str:
    """The prompt around an excerpt. The fence is the excerpt's own hash: no text can hold it, to break out of it."""
    fence = f"=== conversation {hashlib.sha256(text.encode()).hexdigest()[:24]} ==="
    before, after = prompt().replace("{fence}", fence).split("{conversation}")
    return before + text + after


def read_label(said: str) -> str | None:
    """The label that a reply is: one of the words alone, or JSON that holds it; None for anything else."""
    with suppress(ValueError, RecursionError):
        held = json.loads(said)
        if isinstance(held, dict) and len(held) == 1:
            said = str(held.get("label", ""))
    found = ANSWER.fullmatch(said.strip())
    return found[1].lower() if found else None


def given_up(replies: Replies, name: str) -> bool:
    return len(replies.unreadable.get(name, ())) >= REPLIES


@dataclass
class Asking:
    """One run: the conversations still to be asked about, and what came of them."""

    replies: Replies
    endpoint: Endpoint
    conversations: pl.Series
    left: dict[str, int]  # key -> row among the conversations, in the order of keys
    progress: Progress
    of: int
    pace: Pace
    turned: dict[str, str] = field(default_factory=dict)
    stopped: CodedoseError | None = None
    heard: bool = False
    unread_in_a_row: int = 0
    turned_in_a_row: int = 0

    def __post_init__(self) -> None:
        self.queue = [name for name in reversed(self.left) if not given_up(self.replies, name)]

    async def ask_all(self, url: str, key: SecretStr | None, *, concurrency: int, patience: Patience) -> None:
        """Ask one by one until the first reply, so that a wrong key or model costs one request; then side by side."""
        async with client(self.endpoint, key) as http:
            line = Line(http, url, self.endpoint, key, self.pace, patience)
            while self.queue and not self.stopped and not self.heard:
                await self.settle(line, self.queue.pop())
            await asyncio.gather(*(self.work(line) for _ in range(min(concurrency, len(self.queue)))))

    async def work(self, line: Line) -> None:
        while self.queue and not self.stopped:
            await self.settle(line, self.queue.pop())

    async def settle(self, line: Line, name: str) -> None:
        """Ask for one label. What stops the run is remembered: replies under way are paid for, and still come in."""
        try:
            await self.label(line, name)
        except Turned as problem:
            self.turn(line, name, problem)
        except CodedoseError as problem:
            self.stop(problem)
        asked = len(self.left) - len(self.queue)
        self.progress(self.of - len(self.left) + asked, self.of, "labels")

    def turn(self, line: Line, name: str, problem: Turned) -> None:
        self.turned[name] = str(problem)
        self.turned_in_a_row += 1
        if isinstance(problem, Silent) and not self.heard:
            self.stop(MachineError(f"{line.url} cannot be asked ({problem})"))
        elif self.turned_in_a_row >= MOST_TURNED:
            self.stop(MachineError(f"{line.url} gives no reply to {MOST_TURNED} messages in a row ({problem})"))

    async def label(self, line: Line, name: str) -> None:
        """Ask until a reply is a label, `REPLIES` times in all; every reply is kept before anything else happens."""
        for earlier in range(len(self.replies.unreadable.get(name, ())), REPLIES):
            asked = message(excerpt(self.conversations[self.left[name]].to_list())) + (REMINDER if earlier else "")
            reply = await line.ask(asked)
            found = read_label(reply.text)
            tokens_in = estimated_tokens(len(asked)) if reply.tokens_in is None else reply.tokens_in
            tokens_out = WRITTEN_TOKENS if reply.tokens_out is None else reply.tokens_out
            counted = reply.tokens_in is not None and reply.tokens_out is not None
            said = None if found else line.scrub(reply.text)[:60]
            self.replies.keep(Paid(name, found, said, tokens_in, tokens_out, counted))
            self.heard, self.turned_in_a_row = True, 0
            if found:
                self.unread_in_a_row = 0
                return
            self.unread_in_a_row += 1
            if self.unread_in_a_row >= MOST_UNREADABLE:
                self.stop(
                    StudyError(
                        f"{MOST_UNREADABLE} replies in a row by {self.endpoint.model} are none of {', '.join(LABELS)} "
                        f"(the last: {said!r}); label with a model that follows the prompt"
                    )
                )
                return

    def stop(self, problem: CodedoseError) -> None:
        self.stopped = self.stopped or problem
        self.pace.closed = True

    def demand_all(self) -> None:
        """Raise what stopped the run, or DataError when conversations are without a label, with how many and why."""
        if self.stopped:
            known = self.of - len(self.left) + sum(name in self.replies.labels for name in self.left)
            raise type(self.stopped)(
                f"{self.stopped}. {known} of {self.of} conversations have their label, and keep it"
            )
        unread = sum(given_up(self.replies, name) for name in self.left)
        if not unread and not self.turned:
            return
        why = []
        if unread:
            said = next(self.replies.unreadable[name][-1] for name in self.left if given_up(self.replies, name))
            why.append(
                f"{unread} got {REPLIES} replies that are no label, such as {said!r}: choose another model, or remove "
                f"{self.replies.folder / UNREADABLE} to ask them again"
            )
        if self.turned:
            why.append(f"{len(self.turned)} got no reply ({next(iter(self.turned.values()))}): run again")
        raise DataError(
            f"{unread + len(self.turned)} of {self.of} conversations have no label: {'; '.join(why)}. "
            f"The others keep theirs in {self.replies.folder}"
        )


def run(work: Coroutine[None, None, None]) -> None:
    """Run to the end, also where a notebook already runs an event loop in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    with ThreadPoolExecutor(1) as beside:
        beside.submit(asyncio.run, work).result()
