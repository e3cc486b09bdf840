"""What is left of a plan: the same choices as by looking at every step each time, in time that the plan's size leaves
alone."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from codedose.runner.agenda import Agenda
from codedose.runner.step import Step, Where


class Cores:
    """Room for so many cores."""

    def __init__(self, free: int) -> None:
        self.free = free

    def holds(self, where: Where) -> bool:
        return where.cores <= self.free

    def take(self, where: Where) -> None:
        self.free -= where.cores


@dataclass
class Looked:
    """The same as Agenda, by looking at every step of the plan for every question."""

    plan: Sequence[Step]
    left: dict[str, Step]
    running: dict[str, Step] = field(default_factory=dict)
    broken: dict[str, Step] = field(default_factory=dict)

    def take(self, room: Cores, resting: set[str]) -> list[Step]:
        waiting, chosen = {*self.left, *self.running, *self.broken}, []
        for step in [step for step in self.plan if step.key in self.left]:
            needed = any(need.key in waiting for need in step.waits_for)
            if not needed and step.key not in resting and room.holds(step.where):
                room.take(step.where)
                chosen.append(self.left.pop(step.key))
        self.running |= {step.key: step for step in chosen}
        return chosen

    def done(self, step: Step) -> list[Step]:
        del self.running[step.key]
        others = [*self.left.values(), *self.running.values(), *self.broken.values()]
        return [
            need for need in step.consumes if need.perishable and not any(need in other.consumes for other in others)
        ]

    def failed(self, step: Step) -> list[Step]:
        self.broken[step.key] = self.running.pop(step.key)
        return self.blocked()

    def blocked(self) -> list[Step]:
        blocked = []
        for one in [one for one in self.plan if one.key in self.left]:
            if any(need.key in self.broken for need in one.waits_for):
                self.broken[one.key] = self.left.pop(one.key)
                blocked.append(one)
        return blocked

    def again(self, step: Step) -> list[Step]:
        self.left[step.key] = self.running.pop(step.key)
        return self.blocked()

    def redo(self, step: Step) -> list[Step]:
        if step.key not in self.running and step.key not in self.broken:
            self.left[step.key] = step
        return self.blocked()


def step_of(number: int, needs: Sequence[Step] = (), consumes: Sequence[Step] = (), cores: int = 1) -> Step:
    def do(inputs, out, *, progress) -> None: ...

    return Step(
        "toy", str(number), do, 1, {"number": number}, tuple(needs), consumes=tuple(consumes), perishable="part",
        where=Where(cores=cores, worker=str(number % 3)),
    )  # fmt: skip


def plan_of(chance: random.Random, steps: int) -> list[Step]:
    """Steps that need some of those before them, and consume some of these."""
    plan: list[Step] = []
    for number in range(steps):
        needs = chance.sample(plan, min(len(plan), chance.choice([0, 1, 1, 2, 4])))
        plan.append(step_of(number, needs, needs[:2], chance.choice([1, 1, 2, 3])))
    return plan


def labels(steps: Sequence[Step]) -> list[str]:
    return [step.label for step in steps]


@settings(max_examples=1500)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(3, 6))
def test_it_chooses_as_by_looking_at_every_step(seed, steps, cores):
    """Steps go well, fail, are put off, put back, and done again, in any order."""
    chance = random.Random(seed)
    plan = plan_of(chance, steps)
    left = [step for step in plan if chance.random() < 0.8]
    agenda, looked = Agenda(plan, left), Looked(plan, {step.key: step for step in left})
    resting: set[str] = set()
    for _ in range(4 * steps):
        taken = sum(step.where.cores for step in looked.running.values())
        chosen = agenda.take(Cores(cores - taken), resting)
        assert labels(chosen) == labels(looked.take(Cores(cores - taken), resting))
        assert set(agenda.left) == set(looked.left)
        if not looked.running:
            if not resting:
                break
            resting.clear()
            continue
        step = looked.running[chance.choice(sorted(looked.running))]
        match chance.choice(["done", "done", "done", "failed", "again", "lacking"]):
            case "done":
                assert labels(agenda.done(step)) == labels(looked.done(step))
            case "failed":
                assert labels(agenda.failed(step)) == labels(looked.failed(step))
            case word:
                assert labels(agenda.again(step)) == labels(looked.again(step))
                resting = {step.key}
                for need in step.consumes if word == "lacking" else ():
                    assert labels(agenda.redo(need)) == labels(looked.redo(need))


def test_a_step_that_is_put_back_is_taken_as_it_is_now():
    step = step_of(0)
    agenda = Agenda([step], [step])
    (taken,) = agenda.take(Cores(1))
    agenda.again(replace(taken, given={"smaller": True}))
    assert agenda.take(Cores(1))[0].given == {"smaller": True}


class Counted(dict):  # type: ignore[type-arg]
    """Counts how often it is asked."""

    asked = 0

    def __contains__(self, key: object) -> bool:
        Counted.asked += 1
        return super().__contains__(key)

    def __getitem__(self, key: str) -> object:
        Counted.asked += 1
        return super().__getitem__(key)


def asked_of(cells: int) -> int:
    """How many questions it takes to see a plan of so many cells through, on four cores."""
    plan: list[Step] = []
    for number in range(cells):
        tune = step_of(20 * number)
        asked = [step_of(20 * number + 1 + task, [tune], [tune]) for task in range(12)]
        plan += [tune, *asked, step_of(20 * number + 13, asked)]
    plan.append(step_of(20 * cells, plan))
    Counted.asked = 0
    agenda = Agenda(plan, plan)
    agenda.left, agenda.unmet, agenda.wanted = Counted(agenda.left), Counted(agenda.unmet), Counted(agenda.wanted)
    done = 0
    while steps := agenda.take(Cores(4)):
        for step in steps:
            agenda.done(step)
            done += 1
    assert done == len(plan)
    return Counted.asked


def test_twice_the_plan_asks_twice_the_questions():
    assert asked_of(80) < 2.1 * asked_of(40)
