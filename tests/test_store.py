"""The store's promises, the same on a disk, in memory and on S3: done once, found everywhere, nothing lost or half."""

import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from places import PART, Place, age, drafted, place, s3_at, s3_port, sha256s, tell_nobody, toy, while_at

from codedose.errors import CodedoseError, DataError, MachineError, StudyError
from codedose.runner.lease import Lacking, Leased
from codedose.runner.perform import perform
from codedose.runner.schedule import Outcome, Slots, Teller, inline, run
from codedose.runner.step import Step
from codedose.runner.store import Store, new_attempt

__all__ = ["place", "s3_port"]  # fixtures
WEEK = timedelta(days=7)
NOW = datetime(2026, 11, 25, tzinfo=UTC)


def do(store: Store, *steps: Step) -> None:
    for step in steps:
        perform(store, step, tell_nobody)


def refuse_to_run() -> None:
    raise AssertionError("it was done again")


def test_a_finished_step_is_seen_from_every_machine_with_its_files_and_the_records_it_rests_on(place: Place):
    first = toy("first")
    second = toy("second", first)
    do(place.machine(), first, second)
    there = place.machine("there")
    assert there.finished() == {first.folder, second.folder}
    assert there.is_whole(second)
    told = there.record(second.folder)["files"]
    brought = there.here(second.folder)
    assert sha256s(brought) == {name: file["sha256"] for name, file in told.items()}
    assert {name: (brought / name).stat().st_size for name in told} == {
        name: file["size"] for name, file in told.items()
    }
    assert json.loads((brought.parent.parent / first.folder / "record.json").read_bytes())["key"] == first.key


def test_what_is_done_is_not_done_again(place: Place):
    step = toy("once")
    do(place.machine(), step)
    with while_at(step, refuse_to_run):
        do(place.machine("there"), step)


def test_a_step_that_fails_leaves_nothing_and_may_be_tried_again(place: Place):
    store, step = place.machine(), toy("late")
    with while_at(step, lambda: 1 / 0), pytest.raises(ZeroDivisionError):
        do(store, step)
    assert store.finished() == frozenset()
    assert store.leases() == []
    assert place.files("toy") == {}
    do(store, step)
    assert store.finished() == {step.folder}


def test_of_two_finished_attempts_the_first_stands_and_the_second_leaves_nothing(place: Place):
    store, step = place.machine(), toy("twice")
    for number, won in ((1, True), (2, False)):
        attempt = new_attempt()
        with store.draft(step.folder, attempt) as draft:
            record = drafted(store, step, attempt, {"a.txt": b"%d" % number}, draft)
            assert store.commit(step.folder, draft, record) is won
        if won:
            before = place.files()
    assert place.files() == before
    assert (place.machine("there").here(step.folder) / "a.txt").read_bytes() == b"1"


def test_a_freed_part_is_lacking_until_its_step_is_done_again(place: Place):
    store, step = place.machine(), toy("heavy", perishable=PART)
    do(store, step)
    with_part = sha256s(store.here(step.folder, part=True))
    freed = sum(file["size"] for name, file in store.record(step.folder)["files"].items() if name.startswith(PART))
    assert store.release(step) == freed
    assert store.release(step) == 0
    there = place.machine("there")
    assert there.is_done(step)
    assert not there.is_whole(step)
    assert there.verify() == []
    assert set(sha256s(there.here(step.folder))) == {"a.txt", "b.bin"}
    with pytest.raises(Lacking):
        there.here(step.folder, part=True)
    do(there, step)
    assert sha256s(place.machine("third").here(step.folder, part=True)) == with_part
    assert store.is_whole(step)
    assert store.verify() == []
    assert len([name for name in place.files("toy") if name.endswith("weights.bin")]) == 1


def test_who_is_at_work_is_known_everywhere_and_nobody_else_takes_it(place: Place):
    store, there, step = place.machine(), place.machine("there"), toy("mine")
    seen: list[tuple[str, int, int]] = []

    def look() -> None:
        seen.extend((each.folder, each.done, each.pid) for each in there.leases())
        with pytest.raises(Leased):
            do(there, step)

    with while_at(step, look):
        do(store, step)
    assert [folder for folder, _, _ in seen] == [step.folder]
    assert there.leases() == []


def test_a_worker_that_fell_silent_loses_its_step_and_does_no_harm_when_it_ends(place: Place):
    store, there, step = place.machine(), place.machine("there"), toy("slow")
    stood: list[object] = []

    def overtake() -> None:
        age(there)
        assert there.leases() == []
        do(there, step)
        stood.append(there.record(step.folder))

    with while_at(step, overtake):
        do(store, step)
    assert stood == [store.record(step.folder)]
    assert store.verify() == []
    assert store.leases() == []
    assert len([name for name in place.files("toy") if name.endswith("/a.txt")]) == 1


def test_two_runs_share_the_work_out(place: Place):
    first = [toy(f"leaf {number}") for number in range(4)]
    steps = [*first, toy("last", *first)]
    outcomes: dict[str, Outcome] = {}

    def work(name: str) -> None:
        outcomes[name] = run(machines[name], steps, slots=Slots(1), submit=inline, tell=Teller())

    machines = {name: place.machine(name) for name in ("one", "two")}
    both = [threading.Thread(target=work, args=(name,)) for name in machines]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert [outcome.failed for outcome in outcomes.values()] == [[], []]
    store = place.machine()
    assert store.finished() == {step.folder for step in steps}
    assert store.verify() == []
    assert store.leases() == []


# What nobody needs


def test_what_no_study_needs_waits_in_the_trash_and_then_goes(place: Place):
    store, step, other = place.machine(), toy("mine"), toy("other")
    do(store, step, other)
    store.remember("study", [other])
    assert store.unreached() == [step.folder]
    store.discard(store.unreached(), NOW)
    assert store.finished() == {other.folder}
    assert set(store.trash()) == {step.folder}
    assert store.unreached() == []
    assert store.verify() == []
    assert store.empty(NOW + WEEK / 2) == 0
    freed = store.empty(NOW + WEEK)
    assert freed >= sum(file["size"] for file in store.record(other.folder)["files"].values())
    assert store.trash() == {}
    assert place.files(step.folder) == {}
    assert store.finished() == {other.folder}


def test_what_is_needed_again_comes_out_of_the_trash_with_nothing_done(place: Place):
    store, step = place.machine(), toy("regretted")
    do(store, step)
    before = place.files()
    store.discard([step.folder], NOW)
    with while_at(step, refuse_to_run):
        do(place.machine("there"), step)
    assert store.finished() == {step.folder}
    assert store.trash() == {}
    assert place.files() == before


def test_what_a_study_reaches_again_is_never_emptied(place: Place):
    store, step = place.machine(), toy("back")
    do(store, step)
    store.discard([step.folder], NOW)
    store.remember("study", [step])
    assert store.empty(NOW + 9 * WEEK) == 0
    with while_at(step, refuse_to_run):
        do(store, step)


def test_what_somebody_is_at_stays_out_of_the_trash(place: Place):
    store, there, step = place.machine(), place.machine("there"), toy("busy")
    with while_at(step, lambda: there.discard([step.folder], NOW)):
        do(store, step)
    assert store.finished() == {step.folder}
    assert store.trash() == {}


def test_what_lost_attempts_left_goes_after_a_day(place: Place):
    store, step = place.machine(), toy("lost")
    do(store, step)
    whole = place.files()
    if "://" in place.url:
        place.write(f"{step.folder}/20261101T000000-0a0a0a0a/a.txt", b"what a killed attempt had sent")
        place.write(f"{toy('never').folder}/20261101T000000-0a0a0a0a/a.txt", b"of a step that was never done")
    else:
        place.write(f"toy/.draft-{Path(step.folder).name}-20261101T000000-0a0a0a0a/a.txt", b"a killed attempt's")
    store.remember("study", [step])
    assert store.verify() == []
    assert store.finished() == {step.folder}
    store.prepare()
    store.empty(datetime.now(UTC))
    assert {name for name in place.files() if not name.startswith("studies")} == {
        name for name in whole if not name.startswith("studies")
    }


def test_studies_are_remembered_in_their_order(place: Place):
    store, steps = place.machine(), [toy("z"), toy("a")]
    store.remember("study", steps)
    store.remember("other", steps[:1])
    there = place.machine("there")
    assert there.studies() == {"study": [step.folder for step in steps], "other": [steps[0].folder]}
    assert there.reached() == {step.folder for step in steps}


# Whether it is sound


def corrupt(place: Place, name: str) -> None:
    data = place.read(name)
    place.write(name, data[:-1] + bytes([data[-1] ^ 1]))


def truncate(place: Place, name: str) -> None:
    place.write(name, place.read(name)[:-1])


def lose(place: Place, name: str) -> None:
    place.remove(name)


DAMAGE = (corrupt, truncate, lose)


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_told_and_mended(place: Place, damage: Callable[[Place, str], None]):
    store, step, other = place.machine(), toy("spoilt"), toy("sound")
    do(store, step, other)
    damage(place, place.the(step.folder, "b.bin"))
    assert [(each.folder, each.file) for each in store.verify()] == [(step.folder, "b.bin")]
    assert bool(store.verify(contents=False)) is (damage is not corrupt)
    if "://" in place.url:
        with pytest.raises(CodedoseError, match=r"b\.bin"):
            place.machine("there").here(step.folder)
    store.discard({each.folder for each in store.verify()}, NOW)
    do(store, step)  # done again: what lies in the trash is not sound
    assert store.verify() == []
    assert place.machine("there").here(step.folder)


def test_a_part_that_is_there_in_part_is_found(place: Place):
    store, step = place.machine(), toy("parted", perishable=PART)
    do(store, step)
    lose(place, place.the(step.folder, f"{PART}/zeal.bin"))
    assert [(each.folder, each.file) for each in store.verify()] == [(step.folder, f"{PART}/zeal.bin")]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"files": {"a": 1}}', b"[" * 100_000])
def test_a_record_that_is_none_is_told(place: Place, data: bytes):
    store, step = place.machine(), toy("illegible")
    do(store, step)
    (name,) = [name for name in place.files() if name.startswith(step.folder) and name.endswith(".json")]
    place.write(name, data)
    assert [(each.folder, each.file) for each in store.verify()] == [(step.folder, "")]
    with pytest.raises(DataError, match=step.folder):
        store.record(step.folder)


# Names

HOSTILE = ("", "..", "../../etc/passwd", "a\0b", "é" * 300, "e\u0301", "a b#c?d%2f *", "☃")


def test_whatever_steps_are_called_they_are_kept_apart_and_found(place: Place):
    store, steps = place.machine(), [toy(name) for name in HOSTILE]
    do(store, *steps)
    there = place.machine("there")
    assert there.finished() == {step.folder for step in steps}
    assert len(there.finished()) == len(HOSTILE)
    for step in steps:
        assert there.here(step.folder).is_relative_to(there.root)
    assert there.verify() == []


# From elsewhere


def test_status_verify_and_gc_work_wherever_the_store_can_be_named(place: Place, codedose):
    store, step, other = place.machine(), toy("kept"), toy("unneeded")
    store.remember("study", [step, toy("left")])
    do(store, step, other)
    assert codedose("status", place.url, "--json").json["studies"]["study"]["steps"] == {"toy": {"done": 1, "of": 2}}
    corrupt(place, place.the(step.folder, "a.txt"))
    verified = codedose("verify", place.url, "--json")
    assert verified.code == 3
    assert [each["step"] for each in verified.json["troubles"]] == [step.folder]
    assert codedose("gc", place.url, "--json").json["folders"] == [other.folder]
    assert codedose("verify", place.url, "--set-aside").code == 0
    assert codedose("verify", place.url, "--json").json["steps"] == 0


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_another_process_needs_nothing_but_the_url(place: Place):
    store, step = place.machine(), toy("kept")
    store.remember("study", [step])
    do(store, step)
    command = [sys.executable, "-c", "from codedose.cli import main; main()", "status", place.url, "--json"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert json.loads(told)["studies"]["study"]["left"] == 0


@pytest.mark.parametrize("url", ["s3://no-such-bucket-here/store", "nonsense://x", "/proc/nowhere/store"])
def test_a_store_that_cannot_be_is_refused_in_words(s3_port: int, tmp_path: Path, url: str):
    with s3_at(s3_port), pytest.raises(CodedoseError, match=url):
        Place(url, tmp_path).machine().prepare()


def test_without_credentials_the_refusal_is_at_once_and_names_the_mend(s3_port: int, tmp_path: Path):
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": str(tmp_path)}
    with s3_at(s3_port, **nobody), pytest.raises(MachineError, match="AWS_ACCESS_KEY_ID"):
        Place("s3://bucket/store", tmp_path).machine().prepare()


def test_a_store_in_memory_is_not_sent_to_another_process(tmp_path: Path):
    with pytest.raises(StudyError, match="by its own process alone"):
        pickle.dumps(Place("memory://x", tmp_path).machine())
