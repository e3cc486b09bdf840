"""Steps, their store and their engines: order, atomicity, and nothing lost however a run ends."""

import hashlib
import math
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from conftest import mounted
from hypothesis import given
from hypothesis import strategies as st
from toys import (
    JOURNAL,
    PART,
    TWO,
    Heard,
    contents,
    die,
    fail,
    go,
    labels,
    leave,
    leftovers,
    meet,
    mend,
    outgrow,
    refuse,
    toy,
    trained,
    twelve,
    who,
    whoami,
    write,
    write_table,
)

from codedose.errors import DataError, StudyError
from codedose.runner import schedule
from codedose.runner.agenda import Agenda
from codedose.runner.children import Children, chosen
from codedose.runner.disk import Disk
from codedose.runner.lease import Leased, held
from codedose.runner.perform import perform
from codedose.runner.schedule import Room, Slots, Teller, inline, run, to_run
from codedose.runner.step import HALF, Step, Where
from codedose.runner.store import KEPT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def engine() -> Iterator[Children]:
    with Children(gpus=2) as engine:
        yield engine


# What a step is


def test_a_key_follows_from_what_decides_the_result_and_from_nothing_else():
    base = toy("a", settings={"name": "a", "rate": 1})
    same = (
        toy("another label", settings={"rate": 1, "name": "a"}),
        toy("a", settings={"name": "a", "rate": 1}, where=Where(8, 2, "x"), weight=99.0, perishable=PART),
        toy("a", settings={"name": "a", "rate": 1}, given={"journal": "elsewhere"}, do=fail),
    )
    other = (
        toy("a", settings={"name": "a", "rate": 2}),
        toy("a", toy("need"), settings={"name": "a", "rate": 1}),
        toy("a", settings={"name": "a", "rate": 1}, identity={"digest": "f"}),
        Step("kind", "a", write, 1, base.settings),
        Step("toy", "a", write, 2, base.settings),
    )
    assert {step.key for step in same} == {base.key}
    assert len({step.key for step in (base, *other)}) == 1 + len(other)


def test_a_change_far_above_changes_every_key_below():
    def chain(rate: int) -> list[Step]:
        first = toy("first", settings={"name": "first", "rate": rate})
        second = toy("second", first)
        return [first, second, toy("third", second)]

    assert all(one.key != other.key for one, other in zip(chain(1), chain(2), strict=True))


def test_a_step_comes_after_one_of_which_it_reads_nothing(root):
    check = toy("check")
    later = toy("later", after=(check,))
    assert later.key == toy("later").key
    assert [step.label for step in go(root, check, later).performed] == ["check", "later"]
    assert Disk(root).record(later.folder)["needs"] == []


def test_a_step_does_not_start_after_one_that_failed(root):
    def refuse(inputs, out, *, progress) -> None:
        raise DataError("unequal")

    check = toy("check", do=refuse)
    outcome = go(root, check, toy("later", after=(check,)))
    assert [failure.reason for failure in outcome.failed] == ["unequal"]
    assert [step.label for step in outcome.blocked] == ["later"]


def test_what_is_done_asks_for_nothing_that_comes_before_it(root):
    later = toy("later", after=(toy("check"),))
    go(root, toy("later"))
    assert to_run(Disk(root), [*later.after, later]) == []


@pytest.mark.parametrize("label", ["../../etc", "/abs", "", "a\0b", "x" * 400, "中文", ".."])
def test_a_folder_stays_inside_the_store(root, label):
    folder = (root / toy(label).folder).resolve()
    assert folder.parent == (root / "toy").resolve()
    go(root, toy(label))
    assert folder.is_dir()


# Order, and what must run


def test_steps_run_after_their_needs_and_only_once(root):
    a = toy("a")
    b, c = toy("b", a), toy("c", a)
    d = toy("d", b, c)
    heard = Heard()
    outcome = go(root, a, b, c, d, tell=heard)
    assert heard.over == labels(outcome.performed)
    assert sorted(heard.over) == ["a", "b", "c", "d"]
    assert heard.over.index("a") == 0
    assert heard.over.index("d") == 3
    assert go(root, a, b, c, d).performed == []


def test_a_new_last_step_runs_alone(root):
    a = toy("a")
    b = toy("b", a)
    go(root, a, b)
    assert labels(go(root, a, b, toy("c", b)).performed) == ["c"]


def test_a_lost_folder_in_the_middle_is_made_again_only_when_something_needs_it(root):
    a = toy("a")
    b = toy("b", a)
    c = toy("c", b)
    go(root, a, b, c)
    Disk(root).delete(b.folder)
    assert to_run(Disk(root), [a, b, c]) == []
    assert labels(to_run(Disk(root), [a, b, c, toy("d", b)])) == ["b", "d"]


def test_a_perishable_part_is_freed_after_its_last_reader(root):
    steps = trained("ask1", "ask2")
    tune = steps[0]
    go(root, *steps[:2])
    assert not Disk(root).is_whole(tune)
    assert Disk(root).is_done(tune)
    assert (root / tune.folder / "0.txt").is_file()


def test_a_part_that_another_step_waits_for_is_kept(root):
    tune, ask1, ask2, score = trained("ask1", "ask2")
    broken = toy("ask3", tune, consumes=(tune,), do=fail, settings={"words": "no"})
    outcome = go(root, tune, ask1, broken, ask2, score, toy("end", broken))
    assert labels(outcome.blocked) == ["end"]
    assert Disk(root).is_whole(tune)
    # a reader failed: the same command tries it again, and nothing that is done is done again
    assert labels(to_run(Disk(root), [tune, ask1, broken])) == ["ask3"]


def test_what_was_freed_is_made_again_for_a_new_reader_and_freed_again(root):
    steps = trained("ask1")
    tune = steps[0]
    go(root, *steps)
    before = contents(root, tune)
    new = toy("ask2", tune, consumes=(tune,))
    more = [*steps, new, toy("score2", new)]
    assert labels(to_run(Disk(root), more)) == ["tune", "ask2", "score2"]
    go(root, *more)
    assert contents(root, tune) == before
    assert to_run(Disk(root), more) == []
    assert not Disk(root).is_whole(tune)


def test_a_part_that_a_killed_run_could_not_free_is_freed_by_the_next_one(root):
    steps = trained("ask1")
    for step in steps:
        perform(Disk(root), step, lambda *news: None)
    assert Disk(root).is_whole(steps[0])
    assert go(root, *steps).performed == []
    assert not Disk(root).is_whole(steps[0])


@pytest.mark.parametrize("part", [{"perishable": PART, "kept": True}, {}], ids=["kept", "no part"])
def test_a_kept_part_is_never_freed(root, part):
    tune = toy("tune", **part)
    assert labels(go(root, tune, toy("ask", tune, consumes=(tune,))).performed) == ["tune", "ask"]
    assert (root / tune.folder / PART).is_dir()
    assert Disk(root).release(tune) == 0


# Failures


def test_a_failed_step_blocks_only_what_needs_it(root):
    a, bad = toy("a"), toy("bad", do=fail, settings={"words": "the words"})
    b, c, d = toy("b", a), toy("c", bad), toy("d", a)
    outcome = go(root, bad, a, b, c, toy("e", c), d)
    assert sorted(labels(outcome.performed)) == ["a", "b", "d"]
    assert [(failure.step, failure.reason) for failure in outcome.failed] == [(bad, "the words")]
    assert sorted(labels(outcome.blocked)) == ["c", "e"]
    assert not Disk(root).is_done(bad)


def test_what_failed_is_tried_again_and_what_is_done_is_not(root, tmp_path):
    journal = tmp_path / JOURNAL
    given = {"journal": str(journal)}
    a = toy("a", given=given)
    bad = toy("b", a, do=fail, settings={"name": "b", "words": "no"})
    go(root, a, bad)
    mended = toy("b", a, settings={"name": "b", "words": "no"}, do=mend, given=given)
    assert mended.key == bad.key
    assert labels(go(root, a, mended).performed) == ["b"]
    assert journal.read_text().split() == ["a", "b"]


def test_a_step_that_raises_leaves_nothing(root):
    bad = toy("bad", do=fail, settings={"words": "no"})
    with pytest.raises(RuntimeError, match="no"):
        perform(Disk(root), bad, lambda *news: None)
    assert not (root / bad.folder).exists()
    assert leftovers(root) == []


def test_an_interrupt_leaves_nothing_and_is_not_swallowed(root):
    stop = toy("stop", do=interrupt)
    with pytest.raises(KeyboardInterrupt):
        go(root, stop)
    assert not (root / stop.folder).exists()
    assert leftovers(root) == []


def interrupt(inputs, out, *, progress) -> None:
    (out / "half.txt").write_text("half")
    raise KeyboardInterrupt


def test_half_of_a_step_is_never_read_and_swept_away(root):
    a = toy("a")
    kind = root / "toy"
    for name in (f".draft-{Path(a.folder).name}-123", f".gone-{Path(a.folder).name}-123"):
        (kind / name).mkdir(parents=True)
        (kind / name / "0.txt").write_text("half")
    (root / a.folder).mkdir()
    (root / a.folder / "0.txt").write_text("a folder without a record is not done")
    assert not Disk(root).is_done(a)
    Disk(root).prepare()
    assert leftovers(root) == []
    assert labels(go(root, a).performed) == ["a"]
    assert contents(root, a) == contents_of_a_fresh(a, root.parent / "fresh")


def contents_of_a_fresh(step: Step, root: Path) -> dict[str, str]:
    perform(Disk(root), step, lambda *news: None)
    return contents(root, step)


def test_a_step_that_is_done_is_left_alone(root):
    a = toy("a")
    perform(Disk(root), a, lambda *news: None)
    record = (root / a.folder / "record.json").read_bytes()
    perform(Disk(root), toy("a", do=fail, settings={"name": "a"}), lambda *news: None)
    assert (root / a.folder / "record.json").read_bytes() == record


# Records, locks, and what no study needs


def test_a_record_says_what_was_done_with_what_and_where(root):
    need = toy("need")
    step = toy("a", need, settings={"name": "é", "size": 2}, identity={"digest": "f00"})
    go(root, need, step)
    record = Disk(root).record(step.folder)
    assert record["settings"] == {"name": "é", "size": 2}
    assert record["identity"] == {"digest": "f00"}
    assert record["needs"] == [need.folder]
    assert record["key"] in step.folder
    assert record["files"] == {
        str(path.relative_to(root / step.folder)): {
            "size": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in (root / step.folder).rglob("*")
        if path.is_file() and path.name != "record.json"
    }
    assert record["versions"]["python"] == sys.version.split()[0]
    assert {"codedose", "polars", "torch"} <= set(record["versions"])
    assert record["seconds"] >= 0
    assert record["started"].endswith("+00:00")
    assert {"hardware", "commit", "version", "kind", "label"} <= set(record)


def test_a_step_that_another_worker_holds_is_left_to_it(root):
    a, store = toy("a"), Disk(root)
    with held(store, a.folder, "another"), pytest.raises(Leased):
        perform(store, a, lambda *news: None)
    assert not store.is_done(a)
    perform(store, a, lambda *news: None)
    assert store.is_done(a)


def test_two_runs_share_a_store_and_do_each_step_once(root, tmp_path):
    given = {"journal": str(tmp_path / JOURNAL)}
    steps = [toy(f"{n}", given=given) for n in range(12)]
    store, told = Disk(root), []
    runs = [
        threading.Thread(target=lambda: told.append(run(store, steps, slots=TWO, submit=inline, tell=Teller())))
        for _ in range(2)
    ]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    assert [outcome.failed for outcome in told] == [[], []]
    assert sorted((tmp_path / JOURNAL).read_text().split()) == sorted(step.label for step in steps)


def test_a_store_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StudyError, match="--store") as problem:
        Disk(tmp_path / "file" / "store").prepare()
    assert str(tmp_path / "file" / "store") in str(problem.value)


def test_a_store_on_a_read_only_disk_is_one_clear_error(tmp_path):
    with mounted(tmp_path / "disk", "size=1m") as disk:
        remount(disk, "ro")
        with pytest.raises(StudyError, match="--store"):
            Disk(disk / "store").prepare()


def test_sweeping_keeps_everything_that_is_done(root):
    steps = trained("ask1")
    go(root, *steps)
    before = [contents(root, step) for step in steps]
    (root / steps[0].kind / ".gone-checkpoint-9").mkdir()
    Disk(root).sweep()
    assert leftovers(root) == []
    assert [contents(root, step) for step in steps] == before


def test_only_what_no_study_reaches_goes(root):
    shared = toy("shared")
    mine, yours, old = toy("mine", shared), toy("yours", shared), toy("old")
    go(root, shared, mine, yours, old)
    Disk(root).remember("first", [shared, mine])
    Disk(root).remember("second", [shared, yours])
    assert Disk(root).reached() == {step.folder for step in (shared, mine, yours)}
    assert Disk(root).unreached() == [old.folder]
    size = sum(path.stat().st_size for path in (root / old.folder).rglob("*") if path.is_file())
    store, now = Disk(root), datetime.now(UTC)
    store.discard(store.unreached(), now)
    assert store.trash().keys() == {old.folder}
    assert (store.unreached(), store.empty(now), store.is_done(old)) == ([], 0, False)
    assert store.empty(now + KEPT) == size
    assert [Disk(root).is_done(step) for step in (shared, mine, yours, old)] == [True, True, True, False]
    Disk(root).remember("second", [shared])  # the study changed
    assert Disk(root).unreached() == [yours.folder]


def halfway(inputs: list[Path], out: Path, *, progress, scratch: Path, fails: bool) -> None:
    """Keeps a half, fails when it is told to, and writes how much an earlier try had kept."""
    scratch.mkdir(parents=True, exist_ok=True)
    kept = sorted(path.name for path in scratch.iterdir())
    (scratch / f"half-{len(kept)}").write_text("")
    if fails:
        raise DataError("half of it is done")
    (out / "found.txt").write_text(" ".join(kept))


def test_what_an_unfinished_step_keeps_is_there_at_its_next_try_and_gone_when_it_is_done(tmp_path):
    fails = {"fails": True}
    step = Step("toy", "half", halfway, 1, given=fails, has_scratch=True)
    for _ in range(2):
        with pytest.raises(DataError):
            perform(Disk(tmp_path), step, lambda *news: None)
    Disk(tmp_path).remember("mine", [step])
    assert Disk(tmp_path).unreached() == []
    Disk(tmp_path).remember("mine", [])
    assert Disk(tmp_path).unreached() == [step.folder]
    fails["fails"] = False
    perform(Disk(tmp_path), step, lambda *news: None)
    assert (tmp_path / step.folder / "found.txt").read_text() == "half-0 half-1"
    assert list(tmp_path.glob("scratch/*/*")) == []


# Child processes


def test_child_processes_write_what_one_process_writes(root, engine, tmp_path):
    steps = trained("ask1", "ask2")
    heard = Heard()
    outcome = go(root, *steps, submit=engine.submit, tell=heard)
    assert sorted(labels(outcome.performed)) == sorted(labels(steps))
    assert [news for news in heard.news if news[0] == "tune"] == [("tune", n, 4) for n in (1, 2, 3, 4)]
    go(tmp_path / "inline", *steps)
    assert [contents(root, step) for step in steps] == [contents(tmp_path / "inline", step) for step in steps]


def test_a_surprise_is_told_with_the_end_of_its_log(root, engine):
    bad = toy("bad", do=fail, settings={"words": "what went wrong"})
    (failure,) = go(root, bad, toy("after", bad), submit=engine.submit).failed
    assert failure.reason == "what went wrong"
    assert "first words of the log" in failure.log
    assert "RuntimeError: what went wrong" in failure.log[-1]
    assert leftovers(root) == []


def test_what_a_person_can_mend_is_told_without_a_traceback(root, engine):
    (failure,) = go(root, toy("bad", do=refuse), submit=engine.submit).failed
    assert failure.reason == "the pool has 3 examples; the arm asks for 8"
    assert failure.log == ()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_killed_worker_is_a_failure_that_names_the_signal(root, engine, number):
    dead, well = toy("dead", do=die, settings={"number": int(number)}), toy("well")
    outcome = go(root, dead, well, toy("after", dead), submit=engine.submit)
    assert labels(outcome.performed) == ["well"]
    assert number.name in outcome.failed[0].reason
    assert labels(outcome.blocked) == ["after"]
    assert not Disk(root).is_done(dead)


def test_a_worker_that_ends_by_itself_is_a_failure_that_names_its_code(root, engine):
    (failure,) = go(root, toy("left", do=leave, settings={"code": 7}), submit=engine.submit).failed
    assert "7" in failure.reason


def test_the_next_step_after_a_dead_worker_gets_a_living_one(root, engine):
    for number in range(2):
        go(root, toy(f"dead{number}", do=die, settings={"number": 9, "turn": number}), submit=engine.submit)
        assert go(root, toy(f"well{number}"), submit=engine.submit).failed == []


def test_a_step_that_cannot_be_sent_is_a_failure(root, engine):
    outcome = go(root, toy("bad", do=lambda inputs, out, *, progress: None), toy("well"), submit=engine.submit)
    assert labels(failure.step for failure in outcome.failed) == ["bad"]
    assert labels(outcome.performed) == ["well"]


def test_steps_of_one_worker_share_a_process_and_others_do_not(root, engine):
    where = {name: Where(worker=name) for name in "xy"}
    steps = [
        toy(f"{n}{turn}", do=whoami, settings={}, where=where[n], identity={"n": f"{n}{turn}"})
        for n in "xy"
        for turn in range(3)
    ]
    go(root, *steps, submit=engine.submit, slots=Slots(1))
    pids = [who(root, step)["pid"] for step in steps]
    assert len(set(pids[:3])) == len(set(pids[3:])) == 1
    assert pids[0] != pids[3]
    assert os.getpid() not in pids


def test_a_light_step_in_between_does_not_cost_a_worker_its_process(root, engine):
    """Loading a model is dear: the worker of a backbone outlives the scores in between, and the other way round."""
    heavy, light = Where(worker="x"), Where()
    steps: list[Step] = []
    for turn in range(3):
        for where in (heavy, light):
            settings = {"identity": {"turn": turn, "worker": where.worker}}
            steps.append(toy(f"{turn}{where.worker}", *steps[-1:], do=whoami, settings={}, where=where, **settings))
    go(root, *steps, submit=engine.submit)
    assert len({who(root, step)["pid"] for step in steps[::2]}) == 1
    assert len({who(root, step)["pid"] for step in steps[1::2]}) == 1


@pytest.mark.parametrize(
    ("visible", "names"), [(None, {"0", "1"}), ("3,5", {"3", "5"}), ("GPU-aa,GPU-bb", {"GPU-aa", "GPU-bb"})]
)
def test_each_of_two_steps_gets_a_gpu_of_its_own(root, tmp_path, monkeypatch, visible, names):
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    place = tmp_path / "meeting"
    place.mkdir()
    given = {"place": str(place)}
    where = Where(gpus=1, worker="x")
    steps = [toy(n, do=meet, settings={"of": 2}, identity={"n": n}, given=given, where=where) for n in "ab"]
    with Children(gpus=2) as engine:
        go(root, *steps, submit=engine.submit, slots=Slots(2, 2))
    assert {who(root, step)["CUDA_VISIBLE_DEVICES"] for step in steps} == names


def test_two_halves_share_a_gpu_and_a_whole_one_is_never_shared(root, tmp_path):
    place = tmp_path / "meeting"
    place.mkdir()
    where = {"a": Where(gpus=HALF), "b": Where(gpus=1), "c": Where(gpus=HALF)}
    given = {"place": str(place)}
    steps = {n: toy(n, do=meet, settings={"of": 3}, identity={"n": n}, given=given, where=where[n]) for n in where}
    with Children(gpus=2) as engine:
        go(root, *steps.values(), submit=engine.submit, slots=Slots(3, 2))
    a, b, c = (who(root, step)["CUDA_VISIBLE_DEVICES"] for step in steps.values())
    assert {a, b} == {"0", "1"}
    assert c == a


@given(st.integers(1, 3), st.lists(st.sampled_from([HALF, 1, 2]), max_size=12), st.randoms())
def test_whatever_ends_when_every_step_that_starts_finds_its_gpus(gpus, wanted, chance):
    """The scheduler counts, the engine places: neither ever promises what the other has not."""
    steps = [toy(f"{n}", where=Where(gpus=each)) for n, each in enumerate(wanted)]
    agenda = Agenda(steps, steps)
    names = [str(n) for n in range(gpus)]
    running: dict[Step, tuple[str, ...]] = {}
    while agenda or running:
        for step in agenda.take(Room(Slots(99, gpus), running)):
            taken = [(name, each.where.gpus) for each, held in running.items() for name in held]
            running[step] = chosen(names, taken, step.where.gpus)
            assert len(running[step]) == min(math.ceil(step.where.gpus), gpus)
        for name in names:
            assert sum(min(each.where.gpus, 1) for each, held in running.items() if name in held) <= 1
        ended = chance.choice(sorted(running, key=lambda step: step.label))
        running.pop(ended)
        agenda.done(ended)


def test_slots_that_grow_are_seen_while_steps_run(root, monkeypatch):
    monkeypatch.setattr(schedule, "LOOK_AGAIN", 0.02)
    there, held = [Slots(1)], list[Future[None]]()

    def submit(store, step, progress):
        future: Future[None] = Future()
        held.append(future)
        if len(held) == 1:
            threading.Timer(0.1, lambda: there.__setitem__(0, Slots(2))).start()
        else:
            for each in held:
                each.set_result(None)
        return future

    outcome = run(Disk(root), [toy("a"), toy("b")], slots=lambda: there[0], submit=submit, tell=Teller())
    assert sorted(labels(outcome.performed)) == ["a", "b"]


def test_a_step_without_a_gpu_sees_none_and_cores_become_threads(root, engine):
    step = toy("a", do=whoami, where=Where(cores=2))
    go(root, step, submit=engine.submit)
    told = who(root, step)
    assert (told["CUDA_VISIBLE_DEVICES"], told["OMP_NUM_THREADS"], told["POLARS_MAX_THREADS"]) == ("", "2", "2")


def test_a_gpu_that_an_idle_worker_holds_goes_to_the_step_that_wants_it(root):
    with Children(gpus=1) as engine:
        for turn, worker in enumerate(("x", "", "y")):
            step = toy(f"{turn}", do=whoami, identity={"turn": turn}, where=Where(gpus=1, worker=worker))
            go(root, step, submit=engine.submit, slots=Slots(1, 1))
            assert who(root, step)["CUDA_VISIBLE_DEVICES"] == "0"


def test_slots_bound_what_runs_at_once(root, engine, tmp_path):
    """Four steps of one core in two slots: never more than two have begun and not ended."""
    heard: list[int] = []

    class Counting(Heard):
        def started(self, step):
            super().started(step)
            heard.append(len(self.began) - len(self.over))

    go(root, *(toy(n) for n in "abcd"), submit=engine.submit, slots=Slots(2), tell=Counting())
    assert max(heard) == 2
    heard.clear()
    go(root, *(toy(n, where=Where(cores=9)) for n in "efgh"), submit=engine.submit, slots=Slots(2), tell=Counting())
    assert max(heard) == 1  # a step that wants more than there is has the machine for itself


def test_processes_end_with_their_engine(root):
    with Children() as engine:
        step = toy("a", do=whoami)
        go(root, step, submit=engine.submit)
        assert psutil.pid_exists(who(root, step)["pid"])
    assert not psutil.pid_exists(who(root, step)["pid"])


# Full disks


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


BIG = {"size": 300}  # 4 files of 20 kB a step


def test_a_full_disk_is_one_clear_error_and_freeing_space_lets_it_go_on(tmp_path):
    """The disk fills up at a different place of the second step each time; the first step is never lost."""
    a = toy("a", settings={"name": "a", **BIG})
    b = toy("b", a, settings={"name": "b", **BIG})
    whole = go(tmp_path / "whole", a, b)
    assert labels(whole.performed) == ["a", "b"]
    with mounted(tmp_path / "disk", "size=400k") as disk, Children() as engine:
        for left in (0, 4, 24, 48, 80, 84):  # kB; the step takes 88
            root = disk / "store"
            assert labels(go(root, a, submit=engine.submit).performed) == ["a"]
            fill(disk / "ballast", leaving=left)
            outcome = go(root, a, b, submit=engine.submit)
            (failure,) = outcome.failed
            assert "disk is full" in failure.reason
            assert "codedose gc --now" in failure.reason
            assert len(failure.reason.splitlines()) == 1
            assert contents(root, a) == contents(tmp_path / "whole", a)
            assert not Disk(root).is_done(b)
            assert leftovers(root) == []
            (disk / "ballast").unlink()
            assert labels(go(root, a, b, submit=engine.submit).performed) == ["b"]
            assert contents(root, b) == contents(tmp_path / "whole", b)
            for step in (a, b):
                Disk(root).delete(step.folder)


def fill(ballast: Path, *, leaving: int) -> None:
    """Fill a disk up to some kB."""
    free = os.statvfs(ballast.parent)
    with ballast.open("wb") as file:
        file.write(bytes(free.f_bavail * free.f_bsize - leaving * 1024))


def test_a_file_that_may_not_grow_is_told_as_a_full_disk(root, engine):
    """Where no small disk can be mounted, a limit on file sizes stands in for one."""
    (failure,) = go(root, toy("big", do=outgrow), submit=engine.submit).failed
    assert "disk is full" in failure.reason
    assert leftovers(root) == []


def test_a_full_disk_that_a_library_tells_in_words_only_is_a_full_disk(tmp_path):
    """polars and safetensors are written in Rust: their errors carry no number."""
    with mounted(tmp_path / "disk", "size=200k") as disk, Children() as engine:
        outcome = go(disk / "store", toy("table", do=write_table), submit=engine.submit)
        assert "disk is full" in outcome.failed[0].reason


# Runs that are killed: a process of its own performs twelve steps and tells what it does


class Run:
    """A run in a process of its own, and what it tells line by line."""

    def __init__(self, root: Path, journal: Path) -> None:
        script = f"import toys; toys.main({str(root)!r}, {str(journal)!r})"
        paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def tells(self, lines: int = 1) -> bool:
        """Wait for that many lines; whether they came before the end."""
        return all(self.process.stdout.readline() for _ in range(lines))

    def kill(self) -> list[psutil.Process]:
        """SIGKILL, now; returns the children it had."""
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            children = []
        self.process.kill()
        self.end()
        return children

    def end(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=9)
        return self.process.returncode, errors


def finished(root: Path, steps: list[Step]) -> set[str]:
    return {step.label for step in steps if Disk(root).is_done(step)}


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.long) for n in range(2, 6))])
def test_a_run_killed_at_random_moments_ends_like_an_uninterrupted_one(root, tmp_path, seed):
    chance, journal = random.Random(seed), tmp_path / JOURNAL
    journal.touch()
    steps = twelve(journal)
    lives, ran = 0, False
    while not ran and lives < 12:
        before, done = journal.read_text().split(), finished(root, steps)
        life = Run(root, journal)
        if life.tells(chance.randint(1, 30)):
            with suppress(subprocess.TimeoutExpired):  # not only at the moments that are told
                life.process.wait(timeout=chance.uniform(0, 0.03))
            life.kill()
        else:
            ran = life.end()[0] == 0
        new = journal.read_text().split()[len(before) :]
        assert not done & set(new), "a step that was done ran again"
        lives += 1
    if not ran:
        assert Run(root, journal).end()[0] == 0
    assert lives > 1
    whole = tmp_path / "whole"
    go(whole, *twelve(tmp_path / "another journal"))
    assert [contents(root, step) for step in steps] == [contents(whole, step) for step in steps]
    assert not any((root / step.folder / PART).exists() for step in steps if step.perishable)
    assert leftovers(root) == []


def test_no_child_outlives_a_killed_run(root, tmp_path):
    life = Run(root, tmp_path / JOURNAL)
    assert life.tells(3)
    children = life.kill()
    assert children
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []


def test_the_leases_of_a_killed_run_are_nobodys_at_once(root, tmp_path):
    life = Run(root, tmp_path / JOURNAL)
    assert life.tells(3)
    psutil.wait_procs(life.kill(), timeout=5)
    assert Disk(root).leases() == []
    Disk(root).prepare()
    assert leftovers(root) == []


def test_ctrl_c_ends_the_run_its_children_and_leaves_no_halves(root, tmp_path):
    life = Run(root, tmp_path / JOURNAL)
    assert life.tells(3)
    children = psutil.Process(life.process.pid).children(recursive=True)
    life.process.send_signal(signal.SIGINT)
    code, errors = life.end()
    assert "KeyboardInterrupt" in errors
    assert code == -signal.SIGINT
    assert psutil.wait_procs(children, timeout=5)[1] == []
    assert Run(root, tmp_path / JOURNAL).end()[0] == 0
    assert leftovers(root) == []
