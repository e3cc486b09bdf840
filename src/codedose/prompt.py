"""A conversation as tokens and a loss mask: one place for training and asking.

A conversation flows in as messages; it becomes pieces of text, each with or without loss, and the
pieces become tokens one by one. Asking uses the same pieces up to the last assistant header, so
that what a model is asked is what it was trained on, token for token, whatever the tokenizer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from codedose.errors import DataError, MachineError

Message = Mapping[str, str]


@dataclass(frozen=True)
class Template:
    """How turns are written: what opens and closes the turn of each role.

    The stop token stands between a reply and what closes it. An opening either ends its line or is
    followed by one space, so that pieces can be tokenised apart by every kind of tokenizer.
    """

    name: str
    opens: Mapping[str, str]
    closes: Mapping[str, str]


TEMPLATES = {
    template.name: template
    for template in (
        Template(
            "chatml",
            {role: f"<|im_start|>{role}\n" for role in ("system", "user", "assistant")},
            {"system": "<|im_end|>\n", "user": "<|im_end|>\n", "assistant": "\n"},
        ),
        # FastChat's Vicuna v1.1: roles in capitals, turns apart by a space.
        Template(
            "vicuna",
            {"system": "", "user": " USER:", "assistant": " ASSISTANT:"},
            {"system": "", "user": "", "assistant": ""},
        ),
        # Stanford Alpaca's headings.
        Template(
            "alpaca",
            {"system": "", "user": "### Instruction:\n", "assistant": "### Response:\n"},
            {"system": "\n\n", "user": "\n\n", "assistant": "\n\n"},
        ),
    )
}


@dataclass(frozen=True)
class Piece:
    """A stretch of a conversation. In a literal one, text that looks like a special token is just text."""

    text: str
    literal: bool = False
    bears_loss: bool = False
    stop: bool = False  # the stop token itself


@dataclass(frozen=True)
class Encoded:
    """One training example: `tokens` and, for each, whether predicting it bears loss."""

    tokens: tuple[int, ...]
    loss: tuple[bool, ...]
    cut: str  # "", "turns" (whole exchanges were cut off) or "reply" (the first reply itself was cut)

    @property
    def loss_tokens(self) -> int:
        return sum(self.loss[1:])  # the first token is never predicted


def encode(
    messages: Sequence[Message], tokenizer: Any, *, template: str, system: str | None, max_length: int
) -> Encoded:
    """A conversation as tokens with loss on assistant replies and their stop token only.

    A conversation longer than `max_length` tokens loses whole exchanges from its end; where the
    first exchange alone is longer, its reply is cut and has no stop token. Raises DataError for a
    conversation without an assistant reply, or whose first request leaves no room for one.
    """
    if not any(message["role"] == "assistant" for message in messages):
        raise DataError("a conversation has no assistant reply to learn from")
    exchanges = own_exchanges if template == "own" else written_exchanges
    last, tokens, loss = 0, [], []  # type: tuple[int, list[int], list[bool]]
    for grown in exchanges(with_system(messages, system), tokenizer, template):
        found = max(place for place, bears in enumerate(grown[1], 1) if bears)  # what closes a turn teaches nothing
        if found > max_length:
            if last:
                return Encoded(tuple(tokens[:last]), tuple(loss[:last]), "turns")
            if not any(grown[1][1:max_length]):
                raise DataError(f"a request alone is longer than max_length ({max_length} tokens)")
            return Encoded(tuple(grown[0][:max_length]), tuple(grown[1][:max_length]), "reply")
        last, tokens, loss = found, *grown
    return Encoded(tuple(tokens[:last]), tuple(loss[:last]), "")


def ask(question: str, tokenizer: Any, *, template: str, system: str | None) -> list[int]:
    """The tokens of a request that waits for a reply: what `encode` gives, up to the assistant's header."""
    messages = [{"role": "user", "content": question}]
    if template == "own":
        return own(with_system(messages, system), tokenizer, ask=True)
    pieces = written(with_system(messages, system), TEMPLATES[template])
    asked = [*pieces, Piece(TEMPLATES[template].opens["assistant"])]
    return [*starting_tokens(tokenizer), *tokenise(asked, tokenizer, at_start=True)[0]]


def request(question: str, template: str) -> str:
    """The text of a request that waits for a reply, for other tools: that of the tokens of `ask`."""
    pieces = written([{"role": "user", "content": question}], TEMPLATES[template])
    return "".join([*(piece.text for piece in pieces), TEMPLATES[template].opens["assistant"]]).removeprefix(" ")


Grown = tuple[list[int], list[bool]]


def written_exchanges(messages: Sequence[Message], tokenizer: Any, template: str) -> Iterator[Grown]:
    """After each reply all tokens of the conversation so far and, for each, whether it bears loss."""
    start = starting_tokens(tokenizer)
    tokens, loss = list(start), [False] * len(start)
    for message in messages:
        found = tokenise(written([message], TEMPLATES[template]), tokenizer, at_start=len(tokens) == len(start))
        tokens, loss = [*tokens, *found[0]], [*loss, *found[1]]
        if message["role"] == "assistant":
            yield tokens, loss


def own_exchanges(messages: Sequence[Message], tokenizer: Any, template: str) -> Iterator[Grown]:
    """The same under the backbone's own chat template. MachineError where its loss cannot be placed."""
    tokens: list[int] = []
    loss: list[bool] = []
    for number, message in enumerate(messages, 1):
        if message["role"] != "assistant":
            continue
        asked = own(messages[: number - 1], tokenizer, ask=True)
        told = own(messages[:number], tokenizer, ask=False)
        if asked[: len(tokens)] != tokens or told[: len(asked)] != asked:
            raise MachineError(
                "the backbone's own chat template rewrites earlier turns, so its loss cannot be placed; "
                "use the template chatml, vicuna or alpaca"
            )
        last = max(place for place, token in enumerate(told) if token == stop_token(tokenizer)) + 1
        tokens = told
        loss = loss + [False] * (len(asked) - len(loss)) + [True] * (last - len(asked)) + [False] * (len(told) - last)
        yield tokens, loss


def with_system(messages: Sequence[Message], system: str | None) -> list[Message]:
    return [{"role": "system", "content": system}, *messages] if system else list(messages)


def own(messages: Sequence[Message], tokenizer: Any, *, ask: bool) -> list[int]:
    """The backbone's own chat template. MachineError where it has none, refuses, or lacks the stop token."""
    from jinja2 import TemplateError

    if not tokenizer.chat_template:
        raise MachineError("this backbone has no chat template of its own; use chatml, vicuna or alpaca")
    stripped = [{"role": message["role"], "content": message["content"].strip()} for message in messages]
    try:  # sanitised: text that looks like a special token stays text
        told = tokenizer.apply_chat_template(stripped, add_generation_prompt=ask, sanitize_control_tokens=True)[
            "input_ids"
        ]
    except TemplateError as problem:
        raise MachineError(
            f"the backbone's own chat template refuses a conversation ({problem}); use chatml, vicuna or alpaca"
        ) from problem
    if not ask and stop_token(tokenizer) not in told:
        raise MachineError(
            f"the backbone's own chat template does not end a reply with its stop token "
            f"{tokenizer.eos_token!r}; use the template chatml, vicuna or alpaca"
        )
    return list(told)


def written(messages: Sequence[Message], template: Template) -> list[Piece]:
    """A conversation as pieces; only replies and the stop token after each bear loss."""
    pieces: list[Piece] = []
    for message in messages:
        role, text = message["role"], message["content"].strip()
        opening = template.opens[role]
        told = role == "assistant"
        pieces.append(Piece(opening))
        pieces.append(Piece(text if opening[-1:] in ("", "\n") else " " + text, literal=True, bears_loss=told))
        pieces += [Piece("", bears_loss=True, stop=True)] if told else []
        pieces.append(Piece(template.closes[role]))
    return pieces


def tokenise(pieces: Sequence[Piece], tokenizer: Any, *, at_start: bool) -> Grown:
    """Tokens and loss flags of `pieces`, which stand at the start of a text or go on in it."""
    tokens: list[int] = []
    loss: list[bool] = []
    for piece in pieces:
        if piece.stop:
            found = [stop_token(tokenizer)]
        else:
            bare = (at_start and not tokens) or adds_a_space(tokenizer)
            text = piece.text.removeprefix(" ") if bare else piece.text
            found = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=piece.literal)
        tokens += found
        loss += [piece.bears_loss] * len(found)
    return tokens, loss


@lru_cache(maxsize=8)
def starting_tokens(tokenizer: Any) -> tuple[int, ...]:
    """The start-of-text token, where the tokenizer puts one before every text."""
    start = tokenizer.bos_token_id
    return (start,) if start is not None and start in tokenizer("a")["input_ids"][:1] else ()


@lru_cache(maxsize=8)
def adds_a_space(tokenizer: Any) -> bool:
    """Whether the tokenizer puts a space before every text, as SentencePiece does."""
    first = tokenizer.convert_ids_to_tokens(tokenizer.encode("a", add_special_tokens=False))[0]
    return str(first).startswith("▁")


def stop_token(tokenizer: Any) -> int:
    """The token that ends a reply. MachineError when the tokenizer has none."""
    if tokenizer.eos_token_id is None:
        raise MachineError("the tokenizer has no end-of-sequence token, so a reply could never end")
    return int(tokenizer.eos_token_id)
