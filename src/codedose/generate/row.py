"""One reply in the making: what the model is fed next, and what it has written so far.

A reply ends at the stop token, after its answer line, or at the token limit. Then the same row goes on: the words
"Therefore, the answer is" are fed to it, and a few more tokens are its forced answer (Kojima et al. 2022, arXiv
2205.11916, zero-shot chain of thought). Nothing that was read once is read again.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

FORCE = "\nTherefore, the answer is"
ANSWER_LINE = re.compile(r"answer:[ \t]*\S[^\n]*\n", re.IGNORECASE)

Ended = Callable[[Sequence[int]], bool]  # whether these tokens hold an answer line that has ended


@dataclass(frozen=True)
class Written:
    """What a model wrote: the tokens of its reply, how that ended (stop or length), and those of its forced answer."""

    reply: tuple[int, ...]
    finish: str
    forced: tuple[int, ...]


@dataclass(frozen=True)
class Rules:
    """When a reply ends: at the stop token, at the limit and, where `at_answer` says so, after its answer line.

    Then come the tokens that force an answer and at most `forced_limit` more; with 0 the reply is all.
    """

    stop: int
    limit: int
    at_answer: bool
    force: tuple[int, ...]
    forced_limit: int

    @property
    def room(self) -> int:
        """The most tokens that can follow a prompt."""
        return self.limit + len(self.force) + self.forced_limit


@dataclass
class Row:
    """A reply in the making: `feed` is what the model reads next; when it has read all of it, it chooses a token.

    `place` names the prompt, `read` is how many tokens the model has read, `finish` how the reply ended ("" before).
    """

    rules: Rules
    ended: Ended
    place: int
    feed: list[int]
    read: int = 0
    reply: list[int] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)
    finish: str = ""
    is_done: bool = False

    def pass_over(self, count: int) -> list[int]:
        """The next tokens of the feed, at most `count`, which have been read from now on."""
        fed, self.feed = self.feed[:count], self.feed[count:]
        self.read += len(fed)
        return fed

    def take(self, token: int) -> None:
        """Go on with the token that the model chose."""
        written, limit = (self.forced, self.rules.forced_limit) if self.finish else (self.reply, self.rules.limit)
        if token == self.rules.stop:
            self.close("stop", [])
            return
        written.append(token)
        if self.rules.at_answer and self.ended(written):
            self.close("stop", [token])
        elif len(written) == limit:
            self.close("length", [token])
        else:
            self.feed = [token]

    def close(self, finish: str, unread: list[int]) -> None:
        """End the reply and force an answer, or end the forced answer and with it the row."""
        if self.finish:
            self.is_done = True
            return
        self.finish, self.feed = finish, [*unread, *self.rules.force]
        self.is_done = self.rules.forced_limit == 0

    @property
    def written(self) -> Written:
        return Written(tuple(self.reply), self.finish, tuple(self.forced))


def ends_answer(decode: Callable[[Sequence[int]], str]) -> Ended:
    """Whether tokens hold a whole answer line; looked for only when the last of them ends a line."""
    ends_line: dict[int, bool] = {}

    def ended(tokens: Sequence[int]) -> bool:
        last = tokens[-1]
        if last not in ends_line:
            ends_line[last] = "\n" in decode([last])
        return ends_line[last] and ANSWER_LINE.search(decode(tokens)) is not None

    return ended
