"""Chunks of one conversation -> the conversation.

ShareGPT was cut into records `<base>_<n>`, n being the number of the record's first message in the whole
conversation. A chunk is joined to what stands right before it in the file when the base is the same and
  - n is where that ends, and another one speaks than spoke last (or one of the two holds no message), or
  - n is one less, and the chunk begins with the very message that ended it, which is then kept once.
Anything else begins a conversation of its own: ids such as identity_0, identity_1 number conversations,
and where a chunk is missing, turns that never met are not brought together.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from codedose.pool.shapes import Message

CHUNK = re.compile(r"(.+)_(0|[1-9][0-9]{0,8})", re.ASCII | re.DOTALL)
LONGEST = 20_000_000  # characters of a joined conversation, so that a file made of one cannot fill the memory


def split_id(reference: str) -> tuple[str, int] | None:
    """Base and number of a chunk's id; None when it has none."""
    found = CHUNK.fullmatch(reference)
    return (found[1], int(found[2])) if found else None


@dataclass
class Run:
    """Messages of a conversation, from its message `start` on, gathered from so many chunks."""

    base: str
    start: int
    messages: list[Message]
    chunks: int = 1
    chars: int = field(init=False)

    def __post_init__(self) -> None:
        self.chars = length(self.messages)

    @property
    def reference(self) -> str:
        """The base id where the conversation was joined from its start on; else the first chunk's own id."""
        return self.base if self.chunks > 1 and self.start == 0 else f"{self.base}_{self.start}"

    def goes_on_with(self, base: str, start: int, messages: list[Message]) -> bool:
        if base != self.base or self.chars > LONGEST:
            return False
        end = self.start + len(self.messages)
        if not self.messages or not messages:
            return start == end
        if start == end:
            return messages[0]["role"] != self.messages[-1]["role"]
        return start == end - 1 and messages[0] == self.messages[-1]

    def add(self, start: int, messages: list[Message]) -> None:
        new = messages[self.start + len(self.messages) - start :]
        self.messages += new
        self.chars += length(new)
        self.chunks += 1


def length(messages: Iterable[Message]) -> int:
    return sum(len(message["content"]) for message in messages)
