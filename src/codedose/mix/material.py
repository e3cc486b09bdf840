"""The labelled examples at hand: their lines, what they hold, and what they cost in tokens, counted when asked."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from functools import cached_property

import polars as pl

from codedose.errors import DataError
from codedose.mix.lines import rank
from codedose.mix.strata import features

Message = dict[str, str]
Cost = tuple[int, int]  # tokens, and those of them that bear loss
Count = Callable[[Sequence[Message]], Cost]
Change = Callable[[Sequence[Message], str], list[Message]]


class Material:
    """Labelled examples sorted by id, so that their order never matters; a row is a place among them.

    `under(change)` is the same material as a control changes it: `change` is what becomes of the messages
    of a coding example, given their example_id.
    """

    def __init__(self, labelled: pl.DataFrame, count: Count | None) -> None:
        if labelled["example_id"].is_duplicated().any():
            raise DataError(
                "an example_id stands more than once among the labelled examples; remove the duplicates first"
            )
        self.frame = labelled.select("example_id", "label", "messages").sort("example_id")
        self.ids: list[str] = self.frame["example_id"].to_list()
        self.labels: list[str] = self.frame["label"].to_list()
        self.passed_over: dict[str, str] = {}
        self.count = count
        self._change: Change | None = None
        self._costs: dict[int, Cost | None] = {}
        self._changed_costs: dict[int, Cost | None] = {}
        self._changed: dict[int, list[Message]] = {}

    def under(self, change: Change | None) -> "Material":
        """The same examples, and what they were found to cost, under a control."""
        other = copy(self)
        other._change, other._changed, other._changed_costs = change, {}, {}
        return other

    @cached_property
    def features(self) -> pl.DataFrame:
        """reply_length and turns of each row."""
        return self.frame.select(**features())

    def line(self, label: str, draw: int, *, from_the_end: bool) -> list[int]:
        """The rows of one label in the order of their rank."""
        rows = [row for row, found in enumerate(self.labels) if found == label]
        return sorted(rows, key=lambda row: rank(self.ids[row], draw), reverse=from_the_end)

    def original(self, row: int) -> list[Message]:
        return self.frame["messages"][row].to_list()  # type: ignore[no-any-return]

    def messages(self, row: int) -> list[Message]:
        """The messages of a row as the arm trains on them."""
        if self._change is None or self.labels[row] != "coding":
            return self.original(row)
        if row not in self._changed:
            self._changed[row] = self._change(self.original(row), self.ids[row])
        return self._changed[row]

    def changed(self, row: int) -> bool:
        return self._change is not None and self.labels[row] == "coding"

    def cost(self, row: int) -> Cost | None:
        """Tokens and loss-bearing tokens of a row, or nothing where it cannot be trained on.

        A row that cannot be trained on as it stands in the pool is passed over whatever a control makes
        of it, so that controls and ordinary arms pass over the same examples.
        """
        if row not in self._costs:
            self._costs[row] = self.counted(self.original(row), row)
        if self._costs[row] is None or not self.changed(row):
            return self._costs[row]
        if row not in self._changed_costs:
            self._changed_costs[row] = self.counted(self.messages(row), row)
        return self._changed_costs[row]

    def counted(self, messages: Sequence[Message], row: int) -> Cost | None:
        if self.count is None:
            raise ValueError("there is nothing to count tokens with")
        try:
            return self.count(messages)
        except DataError as problem:
            self.passed_over[self.ids[row]] = str(problem)
            return None

    def trainable(self, line: Sequence[int]) -> Iterator[int]:
        """The rows of a line that can be trained on; all of them where nothing is counted."""
        return (row for row in line if self.count is None or self.cost(row))
