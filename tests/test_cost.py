"""What a study is expected to take: the hours on several GPUs are those that the scheduler would need."""

from heapq import heappop, heappush
from pathlib import Path

import pytest
import yaml
from conftest import SMALL, changed
from hypothesis import given
from hypothesis import strategies as st

from codedose.cost import Chain, chains, cost, shared_by, wall_seconds
from codedose.plan import Planner
from codedose.runner.agenda import Agenda
from codedose.runner.step import Step, Where
from codedose.study import load, parse

STUDIES = Path(__file__).parents[1] / "studies"
work = st.lists(
    st.builds(Chain, st.integers(0, 50), st.just(1), st.lists(st.integers(1, 20), min_size=1, max_size=5)),
    min_size=1,
    max_size=12,
)


class Gpus:
    """Room for so many steps that take a GPU each."""

    def __init__(self, free: int) -> None:
        self.free = free

    def holds(self, where: Where) -> bool:
        return self.free > 0

    def take(self, where: Where) -> None:
        self.free -= 1


def scheduled(steps: list[Step], gpus: int) -> float:
    """Seconds that the scheduler takes for the steps on GPUs, each as long as it is expected to be."""
    agenda = Agenda(steps, [step for step in steps if step.where.gpus])
    busy: list[tuple[float, int, Step]] = []
    now = 0.0
    while agenda or busy:
        for step in agenda.take(Gpus(gpus - len(busy))):
            heappush(busy, (now + step.weight, agenda.place[step.key], step))
        now, _, step = heappop(busy)
        agenda.done(step)
    return now


@pytest.mark.parametrize("gpus", [1, 2, 5, 64])
def test_the_hours_on_several_gpus_are_those_of_the_scheduler(tmp_path, backbone_folder, gpus):
    backbones = [{**SMALL["backbones"][0], "name": name, "scale": scale} for name, scale in (("a", 0.5), ("b", 3.0))]
    told = changed(SMALL, {"backbones": backbones, "tune.seeds": 2, "mix.budget": 800, "mix.held_out": 8})
    planner = Planner(parse(yaml.safe_dump(told), "s.yaml"), tmp_path, gpus=gpus)
    assert wall_seconds(list(chains(planner.whole)), gpus) == pytest.approx(scheduled(planner.steps, gpus))


def test_one_gpu_takes_all_the_hours_of_the_reference_study_and_more_take_their_share():
    study = load(STUDIES / "paper.yaml")
    found, hours = list(chains(study)), cost(study).gpu_hours
    assert wall_seconds(found, 1) / 3600 == pytest.approx(hours)
    assert hours / 8 <= wall_seconds(found, 8) / 3600 < 1.1 * hours / 8
    assert wall_seconds(found, 10_000) == pytest.approx(max(chain.longest for chain in found))
    assert {b.name: shared_by(study, b) for b in study.backbones} == dict.fromkeys((b.name for b in study.backbones), 2)


@given(work, st.integers(1, 9))
def test_the_hours_are_within_the_bounds_of_list_scheduling(found, gpus):
    """Graham 1969: never less than the longest chain or an even share, never more than both together."""
    took, longest = wall_seconds(found, gpus), max(chain.longest for chain in found)
    even = sum(chain.training + sum(chain.asking) for chain in found) / gpus
    assert max(longest, even) - 1e-9 <= took <= even + longest * (1 - 1 / gpus) + 1e-9
