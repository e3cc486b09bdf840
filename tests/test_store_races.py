"""Many writers of one step at once: one wins, its bytes stand, and the others leave nothing."""

import multiprocessing
import threading
from collections import Counter
from queue import Queue
from typing import Any

import pytest
from places import Place, drafted, place, s3_port, sha256s, toy

from codedose.runner.store import Store, new_attempt

__all__ = ["place", "s3_port"]  # fixtures
WRITERS = 16
Told = tuple[int, str, bool]  # which race, whose attempt, whether it won


def bytes_of(race: int, attempt: str) -> dict[str, bytes]:
    """Each attempt's own, of its own size, so that a mixture would be seen."""
    return {"a.txt": f"{race} {attempt}".encode() * (1 + race % 7), "folder/b.txt": attempt.encode()}


def compete(store: Store, races: int, line: Any, told: Any) -> None:
    """Commit one attempt in each race, when all others do."""
    for race in range(races):
        step, attempt = toy(f"race {race}"), new_attempt()
        with store.draft(step.folder, attempt) as draft:
            record = drafted(store, step, attempt, bytes_of(race, attempt), draft)
            line.wait()
            told.put((race, attempt, store.commit(step.folder, draft, record)))


def compete_in_threads(stores: list[Store], races: int, line: Any, told: Any) -> None:
    writers = [threading.Thread(target=compete, args=(store, races, line, told)) for store in stores]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()


def judge(place: Place, races: int, told: list[Told]) -> None:
    """One winner in each race, whose files stand as it wrote them, and nothing of anybody else."""
    assert Counter(race for race, _, _ in told) == dict.fromkeys(range(races), WRITERS)
    winners = {race: attempt for race, attempt, won in told if won}
    assert sum(won for _, _, won in told) == len(winners) == races
    there = place.machine("judge")
    assert there.finished() == {toy(f"race {race}").folder for race in range(races)}
    assert there.verify() == []
    for race, attempt in winners.items():
        record, brought = there.record(toy(f"race {race}").folder), there.here(toy(f"race {race}").folder)
        assert record["attempt"] == attempt
        assert sha256s(brought) == {name: file["sha256"] for name, file in record["files"].items()}
        assert {name: (brought / name).read_bytes() for name in record["files"]} == bytes_of(race, attempt)
    assert len(place.files("toy")) == 3 * races  # two files and a record each


def races_of_threads(place: Place, races: int) -> None:
    told: Queue[Told] = Queue()
    machines = [place.machine(f"machine {number}") for number in range(WRITERS)]
    assert not any(machine.finished() for machine in machines)  # connected, before the first race
    compete_in_threads(machines, races, threading.Barrier(WRITERS), told)
    judge(place, races, [told.get() for _ in range(told.qsize())])


def test_of_sixteen_threads_one_wins(place: Place):
    races_of_threads(place, 4 if place.url.startswith("s3") else 15)


@pytest.mark.long
def test_of_sixteen_threads_one_wins_a_hundred_times(place: Place):
    races_of_threads(place, 100)


@pytest.mark.long
@pytest.mark.parametrize("place", ["disk", "s3"], indirect=True)
def test_of_sixteen_writers_in_four_processes_one_wins(place: Place):
    races, context = 100 if place.url.startswith("/") else 20, multiprocessing.get_context("spawn")
    line, told = context.Barrier(WRITERS), context.Queue()
    stores = [[place.machine(f"{number} {thread}") for thread in range(4)] for number in range(4)]
    processes = [context.Process(target=compete_in_threads, args=(four, races, line, told)) for four in stores]
    for process in processes:
        process.start()
    heard = [told.get(timeout=120) for _ in range(WRITERS * races)]
    for process in processes:
        process.join()
    judge(place, races, heard)
