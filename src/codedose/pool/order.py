"""The turns of a conversation -> one system message at most, then requests and replies in turn, none of them empty.

Each rule takes turns and returns what it leaves of them, and in how many places it changed them.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter

from codedose.pool.shapes import Message

SEEN = re.compile(r"[^\s\u00ad\u200b-\u200f\u2060\ufeff]")
SHARED = "*This conversation is shared from ["

Turns = tuple[list[Message], int]


def in_order(messages: Sequence[Message]) -> tuple[list[Message], "Counter[str]"]:
    """At most one system message, then requests and replies in turn, none of them empty; [] without an exchange."""
    left, counts = list(messages), Counter[str]()
    for name, rule in () if is_in_order(messages) else ORDER:
        left, changed = rule(left)
        if changed:
            counts[name] += changed
    return left, counts


def without_empty(messages: Sequence[Message]) -> Turns:
    """Without the turns in which nothing can be seen: a reply that never came, a request that said nothing.

    What then stands side by side is joined or cut by the rules that follow.
    """
    left = [message for message in messages if is_seen(message)]
    return left, len(messages) - len(left)


def from_first_request(messages: Sequence[Message]) -> Turns:
    """The system messages and everything from the first request on: leading replies answer nothing."""
    start = next((n for n, message in enumerate(messages) if message["role"] == "user"), len(messages))
    system = [message for message in messages[:start] if message["role"] == "system"]
    return [*system, *messages[start:]], start - len(system)


def with_one_system(messages: Sequence[Message]) -> Turns:
    """System messages at the start as one."""
    count = next((n for n, message in enumerate(messages) if message["role"] != "system"), len(messages))
    if count < 2:
        return list(messages), 0
    return [joined(messages[:count]), *messages[count:]], count - 1


def with_requests_joined(messages: Sequence[Message]) -> Turns:
    """Requests in a row as one: a person who wrote again before the reply came, perhaps the same."""
    left: list[Message] = []
    for role, turns in groupby(messages, key=itemgetter("role")):
        said = list(turns)
        left += [joined(once(said))] if role == "user" and len(said) > 1 else said
    return left, len(messages) - len(left)


def without_repeated_replies(messages: Sequence[Message]) -> Turns:
    """Without a reply that only repeats the one before it, as chunks of a conversation that overlap have."""
    left = [m for n, m in enumerate(messages) if not (n and m["role"] == "assistant" and m == messages[n - 1])]
    return left, len(messages) - len(left)


def until_out_of_turn(messages: Sequence[Message]) -> Turns:
    """The turns before the first that is not whose turn it is: a second reply, a later system message."""
    start = 1 if messages and messages[0]["role"] == "system" else 0
    turn = ("user", "assistant")
    end = start
    while end < len(messages) and messages[end]["role"] == turn[(end - start) % 2]:
        end += 1
    return list(messages[:end]), len(messages) - end


def until_last_reply(messages: Sequence[Message]) -> Turns:
    """Without what follows the last reply: requests that nobody answered."""
    end = max((n for n, message in enumerate(messages, 1) if message["role"] == "assistant"), default=0)
    return list(messages[:end]), len(messages) - end


ORDER: tuple[tuple[str, Callable[[Sequence[Message]], Turns]], ...] = (
    ("empty turns left out", without_empty),
    ("leading replies left out", from_first_request),
    ("system messages joined", with_one_system),
    ("requests in a row joined", with_requests_joined),
    ("repeated replies left out", without_repeated_replies),
    ("turns left out: out of turn", until_out_of_turn),
    ("trailing requests left out", until_last_reply),
)


def is_in_order(messages: Sequence[Message]) -> bool:
    """Whether no rule of order has anything to do, as in most conversations."""
    roles = [message["role"] for message in messages]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    return bool(turns) and turns == ["user", "assistant"] * (len(turns) // 2) and all(map(is_seen, messages))


def is_seen(message: Message) -> bool:
    """Whether a message says anything: more than white space, and not only which tool shared it."""
    return SEEN.search(message["content"]) is not None and not message["content"].startswith(SHARED)


def once(messages: Sequence[Message]) -> list[Message]:
    """Without those that say the same as the one before."""
    return [next(same) for _, same in groupby(messages, key=itemgetter("content"))]


def joined(messages: Sequence[Message]) -> Message:
    return {"role": messages[0]["role"], "content": "\n\n".join(message["content"] for message in messages)}
