"""What is left of a plan, and which steps may start: the time that one event takes does not grow with the plan."""

from collections.abc import Collection, Iterable, Sequence
from heapq import heappop, heappush
from typing import Protocol

from codedose.runner.step import Step, Where


class Room(Protocol):
    """What is free of the machine."""

    def holds(self, where: Where) -> bool: ...
    def take(self, where: Where) -> None: ...


class Agenda:
    """The steps of a plan that must run: which may start, what waits for which, who still wants a perishable part.

    `plan` holds each step after those it waits for, `left` those of it that must run. A step is left until it is
    taken, and pending until it has gone well: one that failed stays pending, and what waits for it never starts.
    """

    def __init__(self, plan: Sequence[Step], left: Iterable[Step]) -> None:
        self.place = {step.key: number for number, step in enumerate(plan)}
        self.users: dict[str, list[str]] = {step.key: [] for step in plan}
        for step in plan:
            for key in waited_for(step):
                self.users[key].append(step.key)
        self.left = {step.key: step for step in left}
        self.pending = set(self.left)
        self.broken: set[str] = set()  # of the pending those that are given up, and those that wait for them
        self.unmet: dict[str, int] = {}
        self.wanted: dict[str, int] = {}  # by the key of a step how many unfinished ones consume its perishable part
        self.open: dict[Where, list[tuple[int, str]]] = {}  # places in the plan and keys of what may start
        for step in self.left.values():
            self.want(step)
            self.note(step)

    def __bool__(self) -> bool:
        return bool(self.left)

    def take(self, room: Room, resting: Collection[str] = ()) -> list[Step]:
        """The steps that may start now and fit into the room together, in the plan's order; they are left no more."""
        chosen: list[Step] = []
        asleep: dict[str, Step] = {}
        while (found := self.first(room)) is not None:
            if found.key in resting:
                asleep[found.key] = found
            else:
                room.take(found.where)
                chosen.append(self.left.pop(found.key))
        for step in asleep.values():
            self.offer(step)
        return chosen

    def done(self, step: Step) -> list[Step]:
        """A step has gone well: the steps whose perishable part nobody wants any more."""
        self.pending.discard(step.key)
        for key in self.users[step.key]:
            if key in self.left:
                self.unmet[key] -= 1
                if not self.unmet[key]:
                    self.offer(self.left[key])
        for need in step.consumes:
            self.wanted[need.key] -= 1
        return [need for need in step.consumes if need.perishable and not self.wanted[need.key]]

    def failed(self, step: Step) -> list[Step]:
        """A step is given up: those that wait for it and so never start, in the plan's order; they are left no more."""
        blocked: list[Step] = []
        broken = [step.key]
        while broken:
            self.broken.add(broken[-1])
            for key in self.users[broken.pop()]:
                if key in self.left:
                    blocked.append(self.left.pop(key))
                    broken.append(key)
        return sorted(blocked, key=lambda one: self.place[one.key])

    def again(self, step: Step) -> list[Step]:
        """A step that was taken is left once more, as it is now: its key is the same.

        Returns it, and those that wait for it, where what it waits for was given up meanwhile: they never start.
        """
        self.left[step.key] = step
        self.note(step)
        return self.stranded(step)

    def redo(self, step: Step) -> list[Step]:
        """A step that was done must be done once more, unless it is pending anyway; returns what never starts."""
        if step.key in self.pending:
            return []
        self.left[step.key] = step
        self.pending.add(step.key)
        self.want(step)
        self.note(step)
        for key in self.users[step.key]:
            if key in self.left:
                self.unmet[key] += 1
        return self.stranded(step)

    def stranded(self, step: Step) -> list[Step]:
        """A step of `left` and those that wait for it, where one that it waits for is given up; left no more."""
        if self.broken.isdisjoint(waited_for(step)):
            return []
        return [self.left.pop(step.key), *self.failed(step)]

    def unwanted(self, plan: Iterable[Step]) -> list[Step]:
        """The steps whose perishable part some step of the plan consumed and none wants any more."""
        consumed = {need.key: need for step in plan for need in step.consumes if need.perishable}
        return [need for key, need in consumed.items() if not self.wanted.get(key)]

    def want(self, step: Step) -> None:
        for need in step.consumes:
            self.wanted[need.key] = self.wanted.get(need.key, 0) + 1

    def note(self, step: Step) -> None:
        """Count what a step of `left` waits for, and offer it where that is nothing."""
        self.unmet[step.key] = sum(key in self.pending for key in waited_for(step))
        if not self.unmet[step.key]:
            self.offer(step)

    def offer(self, step: Step) -> None:
        heappush(self.open.setdefault(step.where, []), (self.place[step.key], step.key))

    def first(self, room: Room) -> Step | None:
        """Take from `open` the first step that the room holds."""
        tops = [(queue[0], queue) for where, queue in self.open.items() if self.clean(queue) and room.holds(where)]
        return self.left[heappop(min(tops)[1])[1]] if tops else None

    def clean(self, queue: list[tuple[int, str]]) -> bool:
        """Drop what is taken or waits again from the top of a queue; whether anything stays."""
        while queue and (queue[0][1] not in self.left or self.unmet[queue[0][1]]):
            heappop(queue)
        return bool(queue)


def waited_for(step: Step) -> list[str]:
    """The keys of the steps that one waits for, each once."""
    return list(dict.fromkeys(need.key for need in step.waits_for))
