"""What the machinery costs grows in proportion to a plan: counted, not timed (make bench-machinery times it)."""

import os
import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from conftest import SMALL, changed

from codedose.cli.planned import describe
from codedose.plan import Planner
from codedose.runner import step as step_module
from codedose.runner.disk import Disk
from codedose.runner.record import RECORD
from codedose.runner.schedule import Slots, Teller, inline, run
from codedose.runner.step import Step
from codedose.study import parse

FEW, MANY = 4, 8


def planner_of(base: Path, seeds: int, excluded: tuple[str, ...] = ()) -> Planner:
    named = [{**SMALL["backbones"][0], "name": f"b{n}"} for n in range(3)]
    told = changed(SMALL, {"backbones": named, "mix.draws": 3, "tune.seeds": seeds})
    return Planner(parse(yaml.safe_dump(told), "s.yaml"), base, excluded=excluded)


def finish(root: Path, steps: list[Step]) -> None:
    """Records of steps, as if they had run and what perishes were still there."""
    for step in steps:
        place = root / step.folder
        place.mkdir(parents=True)
        (place / RECORD).write_text("{}")
        if step.perishable:
            (place / step.perishable).mkdir()


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often steps are named, and the disk is looked at."""
    told: Counter[str] = Counter()

    def counted(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def do(*args: object, **named: object) -> object:
            told[name] += 1
            return call(*args, **named)

        return do

    with monkeypatch.context() as patch:
        patch.setattr(step_module, "fingerprint", counted("names", step_module.fingerprint))
        for name in ("stat", "scandir", "open"):
            patch.setattr(os, name, counted(name, getattr(os, name)))
        yield told


def test_a_plan_names_each_step_once_and_looks_at_the_disk_as_often_for_few_cells_as_for_many(
    tmp_path, backbone_folder, monkeypatch
):
    looked = {}
    for many in (FEW, FEW, MANY):  # the first imports what is imported where it is used
        planner = planner_of(tmp_path, many)
        with counting(monkeypatch) as told:
            describe(planner, Disk(tmp_path / "store"))
        assert told["names"] <= len(planner.steps)
        looked[many] = told["stat"] + told["scandir"]
    assert looked[MANY] == looked[FEW]


def test_a_run_with_nothing_to_do_looks_once_for_each_step(tmp_path, backbone_folder, monkeypatch):
    looked, counts = {}, {}
    for many in (FEW, MANY):
        steps, store = planner_of(tmp_path, many).steps, Disk(tmp_path / f"store-{many}")
        finish(store.root, steps)
        counts[many] = len(steps)
        for nothing_to_free in (False, True):
            with counting(monkeypatch) as told:
                outcome = run(store, steps, slots=Slots(2), submit=inline, tell=Teller())
            assert outcome.performed == []
            if nothing_to_free:
                looked[many] = told["stat"] + told["scandir"]
        tunes = [step for step in steps if step.perishable]
        assert not any((store.root / step.folder / str(step.perishable)).exists() for step in tunes)
    assert looked[MANY] - looked[FEW] < 1.5 * (counts[MANY] - counts[FEW])


def test_a_step_travels_with_the_names_of_what_it_needs_and_not_with_its_past(tmp_path, backbone_folder):
    sizes = {}
    for excluded in ((), tuple(f"{number:064x}" for number in range(1000))):
        planner = planner_of(tmp_path, FEW, excluded)
        for step in planner.steps:
            travelled = pickle.loads(pickle.dumps(step))  # noqa: S301 - our own
            assert (travelled.key, travelled.folder, travelled.do) == (step.key, step.folder, step.do)
            assert (travelled.settings, travelled.given) == (step.settings, step.given)
            assert [need.folder for need in travelled.needs] == [need.folder for need in step.needs]
            consumed = [need.folder for need in travelled.needs if need in travelled.consumes]
            assert consumed == [need.folder for need in step.consumes]
        sizes[len(excluded)] = max(len(pickle.dumps(step)) for step in planner.steps if step.kind == "generate")
    assert sizes[1000] < sizes[0] + 100
