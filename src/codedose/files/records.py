"""Text -> JSON records: JSON lines, one JSON array, or values in a row. What a record means is not known here.

Memory holds one record and a block. A record that is no JSON costs itself only: reading goes on at the
next one, and the lost one keeps its place and says why and how much it was.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from codedose.files.unpack import Text

LONGEST_RECORD = 20_000_000  # characters; the longest conversation of ShareGPT has under 3 million
MOST_RETRIES = 1_000_000_000  # characters parsed in vain before the rest of a file is given up: some seconds
RETRY = 5000  # characters that a vain attempt counts for beside those it parsed
BLANK = re.compile(r"[ \t\r\n]*+")
BETWEEN = re.compile(r"[ \t\r\n,]*+")  # in an array
FIRST_KEY = re.compile(r'\{\s{0,99}+("[^"\\]{1,99}")')
LONGEST_KEY = 200  # characters that FIRST_KEY matches
DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Record:
    """One record of a file: where it stands, and its value or the reason why it has none."""

    place: str
    value: object = None
    problem: str = ""


def json_records(text: Text) -> tuple[str, Iterator[Record]]:
    """How the records stand in a text (JSON array, JSON lines or JSON values), and the records.

    An array at the top is unrolled; values in a row are objects written over several lines. Where text is
    missing at the end, the last record says so.
    """
    window = Window(chain([text.head], text.blocks))
    passed = window.skip(BLANK)
    if passed is not None and window.text[window.at] == "[":
        return "JSON array", value_records(text, window)
    if window.first_line_is_whole() or window.value() is None:
        return "JSON lines", line_records(text, window, 1 + (passed or 0))
    return "JSON values", value_records(text, window)


@dataclass
class Window:
    """The part of a text that is being read, from `at` on. It slides, so that memory holds little of the text."""

    blocks: Iterator[str]
    text: str = ""
    at: int = 0
    ended: bool = False
    problem: str = ""  # why the last value could not be read
    cut: bool = False  # whether that was because the text ends inside it
    spent: int = 0  # characters parsed in vain

    def grow(self) -> bool:
        """Read on, about as much again as is held; False, and nothing moves, at the end of the text."""
        parts, held, got = [self.text[self.at :]], len(self.text) - self.at, 0
        while not self.ended and got <= held:
            block = next(self.blocks, None)
            self.ended = block is None
            parts.append(block or "")
            got += len(parts[-1])
        if got:
            self.text, self.at = "".join(parts), 0
        return got > 0

    def skip(self, between: re.Pattern[str]) -> int | None:
        """Go past what matches, to the next character that does not; None when there is none, else the lines passed."""
        lines = 0
        while True:
            found = between.match(self.text, self.at)
            end = found.end() if found else self.at
            lines += self.text.count("\n", self.at, end)
            self.at = end
            if self.at < len(self.text):
                return lines
            if not self.grow():
                return None

    def line(self) -> str | None:
        """The line that begins at the place, without its end; None when it is absurdly long."""
        searched = 0
        while (end := self.text.find("\n", self.at + searched)) < 0:
            searched = len(self.text) - self.at
            if searched > LONGEST_RECORD:
                return None
            if not self.grow():
                end = len(self.text)
                break
        return self.text[self.at : end] if end - self.at <= LONGEST_RECORD else None

    def skip_line(self) -> int:
        """Go to the end of the line, however long it is. Comes back with its number of bytes."""
        lost = 0
        while (end := self.text.find("\n", self.at)) < 0:
            lost += size(self.text[self.at :])
            self.at = len(self.text)
            if not self.grow():
                return lost
        lost, self.at = lost + size(self.text[self.at : end]), end
        return lost

    def first_line_is_whole(self) -> bool:
        """Whether the line at the place is one JSON value."""
        line = self.line()
        return line is not None and not parsed("", line).problem

    def value(self) -> tuple[object, int] | None:
        """The JSON value at the place, and where it ends; None, with `problem` and `cut`, when there is none."""
        while True:
            held = len(self.text) - self.at
            try:
                value, end = DECODER.raw_decode(self.text, self.at)
                if end < len(self.text) or not self.grow():  # at the very end a number might go on
                    return value, end
                continue
            except json.JSONDecodeError as problem:
                # An unterminated string is named by its start, everything else by where reading stopped.
                self.cut = problem.msg.startswith("Unterminated") or problem.pos > len(self.text) - 12
                # To tell its line, the error counts all line ends before it, ten times as fast as reading is.
                cost = RETRY + problem.pos // 10 + (held if self.cut else problem.pos - self.at)
                self.problem = problem.msg
            except (ValueError, RecursionError) as problem:
                self.cut, cost = False, 10 * RETRY
                self.problem = "nested too deep" if isinstance(problem, RecursionError) else ascii(str(problem))[1:60]
            if held > LONGEST_RECORD:
                self.cut, self.problem = False, f"longer than {LONGEST_RECORD:,} characters"
            if not self.cut or not self.grow():
                self.spent += cost
                return None

    def skip_to(self, key: str | None) -> int:
        """Go to the next whole object that begins with `key`, as records of this text do, or to the end.

        Comes back with the number of bytes left out. A key inside a text is written with backslashes, so
        that no text can be taken for a record.
        """
        first = re.compile(r"\{\s{0,99}+" + re.escape(key)) if key else None
        lost, start = 0, self.at + 1
        while True:
            found = first.search(self.text, start) if first and self.spent < MOST_RETRIES else None
            end = found.start() if found else max(self.at, len(self.text) - LONGEST_KEY)
            lost += size(self.text[self.at : end])
            self.at = end
            if found:
                if self.value() is not None:
                    return lost
                start = self.at + 1
            elif self.grow():
                start = self.at
            else:
                lost += size(self.text[self.at :])
                self.at = len(self.text)
                return lost


def value_records(text: Text, window: Window) -> Iterator[Record]:
    """The values of a text, and those in the arrays at its top. What is lost between two whole ones is one record."""
    number, inside, key, told = 0, False, None, False
    while window.skip(BETWEEN if inside else BLANK) is not None:
        sign = window.text[window.at]
        if sign == "[]"[inside]:
            inside, window.at = not inside, window.at + 1
        else:
            number += 1
            first = FIRST_KEY.match(window.text, window.at)
            if located := window.value():
                value, window.at = located
                key = first[1] if first else key
                yield Record(f"record {number}", value)
                continue
            problem, cut = window.problem, window.cut
            lost = window.skip_to(key or (first[1] if first else None))
            told = window.at == len(window.text) and not window.grow()
            problem = ended(lost, text) if told and cut else broken(problem, lost, told)
            yield Record(f"record {number}", problem=problem)
    if not told and (inside or text.damage):
        yield Record(f"record {number + 1}", problem=ended(0, text))


def line_records(text: Text, window: Window, number: int) -> Iterator[Record]:
    """Each line that is not blank, from line `number` on. Text that ends inside a line is said in its place."""
    told = False
    while (passed := window.skip(BLANK)) is not None:
        number += passed
        place, line = f"line {number}", window.line()
        if line is None:
            yield Record(place, problem=f"its {window.skip_line():,} bytes are more than a record can have")
            continue
        window.at += len(line)
        record = parsed(place, line)
        told = window.at == len(window.text) and bool(record.problem) and (number > 1 or bool(text.damage))
        yield Record(place, problem=ended(size(line), text)) if told else record
    if text.damage and not told:
        yield Record(f"line {number + 1}", problem=ended(0, text))


def parsed(place: str, line: str) -> Record:
    """The JSON value of one line."""
    try:
        return Record(place, DECODER.decode(line))
    except (ValueError, RecursionError):
        return Record(place, problem="the line is not one JSON record")


def broken(problem: str, lost: int, to_the_end: bool) -> str:
    where = "to the end of the file" if to_the_end else "up to the next whole record"
    return f"is not valid JSON ({problem}); {lost:,} bytes are left out, {where}"


def ended(lost: int, text: Text) -> str:
    """What is said in the place of the record that a text ends in, or after the last one that is whole."""
    why = f"; {text.damage}" if text.damage else ""
    if lost:
        return f"the file ends inside this record: its {lost:,} bytes are lost{why}"
    return f"the file ends before it should: what follows the last whole record is lost{why}"


def size(text: str) -> int:
    """Bytes in the file, also of those that are not UTF-8."""
    return len(text.encode("utf-8", "surrogateescape"))
