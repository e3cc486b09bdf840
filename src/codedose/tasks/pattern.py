"""What an answer looks like, as a regular expression of a stranger: it may be wrong, but it can never hang.

RE2 (the package google-re2) matches in time proportional to the text, whatever the pattern. A time limit would let
the machine's speed decide what is read; here the same reply is read alike everywhere. Lookaround and backreferences,
which need backtracking, are refused.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

LONGEST_PATTERN = 500  # characters
LARGEST_PROGRAM = 1_000  # RE2's instructions: nested counted repeats make them in millions
MEMORY = 1 << 18  # bytes that a pattern may take, its matching included
LONGEST_TEXT = 1_000  # characters, of the end of a text: to find every match in it can take their square


@lru_cache(maxsize=64)
def compiled(pattern: str) -> Any:
    """The pattern, ready to match. ValueError that says what is wrong with it."""
    import re2

    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"is longer than {LONGEST_PATTERN} characters; say what an answer looks like, not the reply")
    options = re2.Options()
    options.max_mem, options.log_errors = MEMORY, False
    try:
        found = re2.compile(pattern, options)
    except re2.error as problem:
        reason = problem.args[0].decode(errors="replace") if isinstance(problem.args[0], bytes) else str(problem)
        raise ValueError(f"is no regular expression as RE2 reads them ({reason})") from problem
    if found.programsize > LARGEST_PROGRAM:
        raise ValueError(f"is too large ({found.programsize:,} steps, at most {LARGEST_PROGRAM:,}); repeat less in it")
    if found.groups != 1:
        raise ValueError(f"has {found.groups} groups; put the answer into one (...), and any others into (?:...)")
    return found


def matches(pattern: str, text: str) -> Iterator[str]:
    """What the group holds in each match, in order and in normal form: lower case, single spaces.

    Only the last 1,000 characters are looked at. Empty answers are none.
    """
    for found in compiled(pattern).finditer(text[-LONGEST_TEXT:]):
        if answer := " ".join((found[1] or "").split()).casefold():
            yield answer
