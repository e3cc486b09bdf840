"""One training, done by one process or by several: what each takes on of a step, and what they tell each other.

The loop of a training (tune.train) is the same either way; a team is all that differs. How a step is shared out
changes nothing but speed: its loss is normalised over the whole step, so that parts are summed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from codedose.tune.layout import micro_batches

Round = tuple[list[int], float]  # the places of a micro-batch in its step, and a factor on their loss


class Team(Protocol):
    """The processes of one training as one of them sees it. All call the same methods in the same order."""

    @property
    def rank(self) -> int:
        """Which of them this is, from 0; that one writes and tells."""

    def rounds(self, lengths: Sequence[int], most: int, *, packed: bool) -> Iterator[Round]:
        """The micro-batches of this process of a step whose examples have `lengths`; equally many in each process."""

    def do(self, model: Any, work: Callable[..., Any], *given: Any) -> Any:
        """`work(model, *given)`, with all weights in place while it lasts."""

    def summed(self, loss: float, trained: Mapping[str, Any]) -> float:
        """The loss of all processes; their gradients are summed in place."""

    def whole(self, tensor: Any) -> Any:
        """A tensor of which processes may hold parts, whole."""

    def part(self, tensor: Any, like: Any) -> Any:
        """Of a whole tensor what this process holds, on the device of `like` and split as that is."""

    def any(self, here: bool) -> bool:
        """Whether something holds in any process."""

    def trouble(self, here: Exception | None) -> Exception | None:
        """What made memory run out, here or elsewhere; None where it sufficed for all."""

    def take_less(self, model: Any, micro_tokens: int) -> None:
        """After memory ran out: go on where that can be done in place, else raise what begins again with less."""


@dataclass(frozen=True)
class Alone:
    """One process, which tells nobody anything."""

    rank: int = 0

    def rounds(self, lengths: Sequence[int], most: int, *, packed: bool) -> Iterator[Round]:
        return ((members, 1.0) for members in micro_batches(lengths, most, packed=packed))

    def do(self, model: Any, work: Callable[..., Any], *given: Any) -> Any:
        return work(model, *given)

    def summed(self, loss: float, trained: Mapping[str, Any]) -> float:
        return loss

    def whole(self, tensor: Any) -> Any:
        return tensor

    def part(self, tensor: Any, like: Any) -> Any:
        return tensor.to(like.device)

    def any(self, here: bool) -> bool:
        return here

    def trouble(self, here: Exception | None) -> Exception | None:
        return here

    def take_less(self, model: Any, micro_tokens: int) -> None:
        return None


ALONE = Alone()


def shares(lengths: Sequence[int], processes: int) -> list[list[int]]:
    """The places of a step for each process, with about equally many tokens: longest first, to whoever has fewest."""
    shared: list[list[int]] = [[] for _ in range(processes)]
    tokens = [0] * processes
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        least = tokens.index(min(tokens))
        shared[least].append(place)
        tokens[least] += lengths[place]
    return shared


def rounds(lengths: Sequence[int], most: int, *, packed: bool, rank: int, processes: int) -> Iterator[Round]:
    """The micro-batches of one process. One that has fewer than others takes the shortest example without weight.

    Where a model is sharded nobody can compute alone: each gives its part of the weights, in every round.
    """
    apart = [
        [
            [share[m] for m in members]
            for members in micro_batches([lengths[place] for place in share], most, packed=packed)
        ]
        for share in shares(lengths, processes)
    ]
    idle = ([min(range(len(lengths)), key=lengths.__getitem__)], 0.0)
    for number in range(max(map(len, apart))):
        yield (apart[rank][number], 1.0) if number < len(apart[rank]) else idle
