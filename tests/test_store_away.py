"""A store that is away: it refuses, falls silent, says it is too busy, or loses its answer. No work is lost."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import pytest
from loopback import CHANGES, Gate
from places import Place, drafted, placed, s3_port, sha256s, tell_nobody, toy, while_at

from codedose.errors import MachineError
from codedose.runner import objects
from codedose.runner.perform import perform
from codedose.runner.remote import Remote
from codedose.runner.schedule import Slots, Teller, inline, run
from codedose.runner.store import new_attempt

__all__ = ["s3_port"]  # a fixture
CONDITIONAL = "If-None-Match"


@pytest.fixture
def gate(s3_port: int) -> Iterator[Gate]:
    gate = Gate(s3_port)
    yield gate
    gate.close()


@pytest.fixture
def place(gate: Gate, tmp_path: Path) -> Iterator[Place]:
    with placed("s3", tmp_path, lambda: gate.port) as place:
        place.machine().prepare()
        yield place


def away(gate: Gate, seconds: float, *ways: str) -> None:
    """Have the store be away for a while, in each of these ways for its share of the time."""
    for way in ways:
        with ExitStack() as stack:
            stack.enter_context(gate.refusing() if way == "refuse" else gate.ruled(lambda *asked, way=way: way))
            time.sleep(seconds / len(ways))


def ended(place: Place, gate: Gate, seconds: float, *ways: str) -> float:
    """A run of five steps while the store goes away in the midst of it; how long the run took."""
    first = [toy(f"leaf {number}") for number in range(3)]
    steps = [*first, toy("middle", *first), toy("last", *first)]
    outage = threading.Thread(target=away, args=(gate, seconds, *ways))
    began = time.monotonic()
    with while_at(first[1], outage.start):  # so that it is away when the step's files are sent
        outcome = run(place.machine(), steps, slots=Slots(1), submit=inline, tell=Teller())
    outage.join()
    assert (outcome.failed, outcome.blocked) == ([], [])
    assert outcome.performed == steps
    assert place.machine("there").verify() == []
    assert place.machine("there").leases() == []
    for step in steps:
        assert sha256s(place.machine("there").here(step.folder))
    return time.monotonic() - began


@pytest.mark.parametrize("way", ["refuse", "hang", "503"])
def test_a_run_waits_for_a_store_that_is_away_for_two_seconds(place: Place, gate: Gate, way: str):
    assert ended(place, gate, 2.0, way) > 2.0


@pytest.mark.long
def test_a_run_waits_for_a_store_that_is_away_for_a_minute(place: Place, gate: Gate):
    assert ended(place, gate, 60.0, "refuse", "hang", "503") > 60.0


def test_a_run_ends_right_where_every_third_answer_is_lost(place: Place, gate: Gate):
    turn = cycle(["pass", "pass", "lose"])
    with gate.ruled(lambda *asked: next(turn)):
        first = toy("first")
        steps = [first, toy("second", first)]
        outcome = run(place.machine(), steps, slots=Slots(1), submit=inline, tell=Teller())
    assert outcome.failed == []
    assert place.machine("there").finished() == {step.folder for step in steps}
    assert place.machine("there").verify() == []


def lost_once(what: Callable[[str, str], bool], way: str) -> Callable[[str, str, dict[str, str]], str]:
    """A rule: the first three conditional requests about something are answered one way, all others pass.

    Three, since the client itself asks a second time where an answer does not come.
    """
    left = [3]

    def rule(method: str, path: str, headers: dict[str, str]) -> str:
        if method in CHANGES and headers.get(CONDITIONAL) and what(method, path) and left[0] > 0:
            left[0] -= 1
            return way
        return "pass"

    return rule


@pytest.mark.parametrize("way", ["lose", "412", "409", "503"])
def test_a_writer_whose_answer_was_lost_finds_out_that_it_won(place: Place, gate: Gate, way: str):
    store, step = place.machine(), toy("ours")
    with gate.ruled(lost_once(lambda method, path: path.endswith(f"{step.folder}.json"), way)):
        perform(store, step, tell_nobody)
    record = store.record(step.folder)
    assert store.finished() == {step.folder}
    assert store.verify() == []
    assert {name.split("/")[2] for name in place.files(f"{step.folder}")} == {record["attempt"]}
    assert store.leases() == []


@pytest.mark.parametrize("way", ["lose", "412", "409"])
def test_a_writer_whose_answer_was_lost_finds_out_that_it_was_late(place: Place, gate: Gate, way: str):
    store, step = place.machine(), toy("theirs")
    perform(place.machine("there"), step, tell_nobody)
    before, attempt = place.files(), new_attempt()
    with gate.ruled(lost_once(lambda method, path: True, way)), store.draft(step.folder, attempt) as draft:
        assert not store.commit(step.folder, draft, drafted(store, step, attempt, {"a.txt": b"late"}, draft))
    assert place.files() == before


def test_who_waits_for_nothing_is_told_in_words(place: Place, gate: Gate):
    store = Remote(place.url, patience=0.5)
    with gate.refusing(), pytest.raises(MachineError, match=f"{place.url}: did not answer for"):
        store.read("studies/study.json")


def test_a_server_that_takes_a_request_and_says_nothing_is_given_up(
    place: Place, gate: Gate, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(objects, "ANSWER", 0.5)
    with gate.ruled(lambda *asked: "hang"), pytest.raises(MachineError, match="did not answer"):
        Remote(place.url, patience=1.0).write("studies/study.json", b"[]")
