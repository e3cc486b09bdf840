"""The store as a machine of states: whatever is done, in any order, and cut short anywhere, it is as a model says."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from places import PART, Place, age, contents, placed, s3_port, tell_nobody, toy, while_at

from codedose.runner.lease import Lacking, Leased
from codedose.runner.perform import perform
from codedose.runner.step import Step
from codedose.runner.store import Store

__all__ = ["s3_port"]  # a fixture
LATER = timedelta(days=8)  # longer than anything waits in the trash
ROOT = toy("root", perishable=PART)
LEAF = toy("leaf", ROOT, consumes=(ROOT,))
LONE = toy("lone")
STEPS = (ROOT, LEAF, LONE)
ON_DISK = ("replace", "link", "unlink", "mkdir", "rmdir", "fsync", "utime")
ON_OTHERS = ("pipe_file", "put_file", "rm", "rm_file", "cat_file", "cat", "info", "ls", "find", "get_file")
MOST = 24  # operations that a call is let do before it is cut short, at most


class Cut(BaseException):
    """The process ends here, as by SIGKILL: what follows has no effect either."""


class Fuse:
    """Cuts a process short before or after one of its operations on the store."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.after, self.is_blown, self.thread = False, False, threading.get_ident()

    def guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def guard(*args: Any, **named: Any) -> Any:
            if self.left is None or threading.get_ident() != self.thread:
                return call(*args, **named)
            self.left -= 1
            if self.left >= 0:
                return call(*args, **named)
            if self.after and not self.is_blown:
                call(*args, **named)
            self.is_blown = True
            raise Cut

        return guard

    @contextmanager
    def lit(self, operations: int, after: bool) -> Iterator[None]:
        self.left, self.after, self.is_blown = operations, after, False
        try:
            with suppress(Cut):
                yield
        finally:
            self.left = None


class Frail:
    """A file system whose operations a fuse guards."""

    def __init__(self, fs: Any, fuse: Fuse) -> None:
        self.fs, self.fuse = fs, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.fs, name)
        return self.fuse.guarded(found) if name in ON_OTHERS else found


@contextmanager
def frail(kind: str) -> Iterator[Fuse]:
    """A fuse in all that stores of a kind do."""
    fuse, opened = Fuse(), fsspec.core.url_to_fs

    def url_to_fs(url: str, **options: Any) -> tuple[Any, str]:
        fs, place = opened(url, **options)
        return Frail(fs, fuse), place

    with pytest.MonkeyPatch.context() as patch:
        if kind == "disk":
            for name in ON_DISK:
                patch.setattr(os, name, fuse.guarded(getattr(os, name)))
        else:
            patch.setattr(fsspec.core, "url_to_fs", url_to_fs)
        yield fuse


@dataclass(frozen=True)
class State:
    """Where a step is, whether its part is there (or it has none), and whether its files were spoilt."""

    at: str = "nowhere"  # or "done", or "trash"
    whole: bool = True
    spoilt: bool = False


steps = st.sampled_from(STEPS)
cuts = {"operations": st.integers(0, MOST), "after": st.booleans()}


class World(RuleBasedStateMachine):
    """Two machines, one store, three steps; `states` and `study` are the model."""

    def __init__(self, place: Place, fuse: Fuse) -> None:
        super().__init__()
        self.place, self.fuse = place, fuse
        self.stores = (place.machine("one"), place.machine("two"))
        self.stores[0].prepare()
        self.states = {step.folder: State() for step in STEPS}
        self.study: set[str] = set()

    # What the model expects

    def is_whole(self, step: Step) -> bool:
        state = self.states[step.folder]
        return state.at == "done" and state.whole

    def is_held(self, step: Step) -> bool:
        return step.folder in {each.folder for each in self.stores[0].leases()}

    def path(self, step: Step) -> list[State]:
        """The states that doing a step passes through, this one first and the finished one last."""
        found = [state := self.states[step.folder]]
        if self.is_whole(step):
            return found
        if state.at == "trash":
            found.append(replace(state, at="nowhere" if state.spoilt else "done"))
        if found[-1].at != "done" or not found[-1].whole:
            if not all(self.is_whole(need) for need in step.needs):
                return found
            found.append(State("done"))
        return found

    def observe(self, step: Step, allowed: list[State]) -> None:
        """Take over what became of a step whose call was cut short, which must be one of these."""
        store = self.stores[1]
        at = "done" if store.is_done(step) else "trash" if step.folder in store.trash() else "nowhere"
        seen = [state for state in allowed if state.at == at]
        if at == "done":
            seen = [state for state in seen if state.whole is store.is_whole(step)]
        assert seen, (at, allowed)
        self.states[step.folder] = seen[0]

    def will_run(self, step: Step) -> bool:
        return State("done") in self.path(step)[1:] and len(self.path(step)) > 1

    # What happens

    @rule(step=steps, number=st.integers(0, 1))
    def do(self, step: Step, number: int) -> None:
        path = self.path(step)
        if self.is_held(step) and not self.is_whole(step):
            with pytest.raises(Leased):
                perform(self.stores[number], step, tell_nobody)
        elif path[-1].at == "done" and path[-1].whole:
            perform(self.stores[number], step, tell_nobody)
            self.states[step.folder] = path[-1]
        else:
            with pytest.raises(Lacking):
                perform(self.stores[number], step, tell_nobody)
            self.observe(step, path)

    @rule(step=steps, **cuts)
    def do_cut_short(self, step: Step, operations: int, after: bool) -> None:
        path = self.path(step)
        with self.fuse.lit(operations, after), suppress(Leased, Lacking):
            perform(self.stores[0], step, tell_nobody)
        self.observe(step, path)

    @rule(step=steps)
    def overtake(self, step: Step) -> None:
        """A second machine takes the step of one that fell silent, and both finish."""

        def second() -> None:
            with pytest.raises(Leased):
                perform(self.stores[1], step, tell_nobody)
            age(self.stores[1])
            perform(self.stores[1], step, tell_nobody)

        if not self.is_held(step) and self.path(step)[-1] == State("done"):
            with while_at(step, second):
                perform(self.stores[0], step, tell_nobody)
            self.states[step.folder] = State("done")

    @rule()
    def fall_silent(self) -> None:
        age(self.stores[1])

    @precondition(lambda self: self.states[ROOT.folder].at == "done")
    @rule(operations=st.none() | st.integers(0, 4), after=st.booleans())
    def free(self, operations: int | None, after: bool) -> None:
        state = self.states[ROOT.folder]
        with self.fuse.lit(1000 if operations is None else operations, after):
            self.stores[0].release(ROOT)
        self.observe(
            ROOT, [state, replace(state, whole=False)] if operations is not None else [replace(state, whole=False)]
        )

    @rule(step=steps, operations=st.none() | st.integers(0, 6), after=st.booleans())
    def set_aside(self, step: Step, operations: int | None, after: bool) -> None:
        state = self.states[step.folder]
        if state.at == "done":
            gone = state if self.is_held(step) else replace(state, at="trash")
            with self.fuse.lit(1000 if operations is None else operations, after):
                self.stores[0].discard([step.folder], datetime.now(UTC))
            self.observe(step, [gone] if operations is None else [state, gone])

    @rule(step=steps)
    def spoil(self, step: Step) -> None:
        """A file of a finished step is not what it was: `verify` names it, and it goes into the trash."""
        state = self.states[step.folder]
        if state.at == "done" and not self.is_held(step):
            name = self.place.the(step.folder, "a.txt")
            self.place.write(name, self.place.read(name)[:-1])
            assert [(each.folder, each.file) for each in self.stores[1].verify()] == [(step.folder, "a.txt")]
            self.stores[1].discard([step.folder], datetime.now(UTC))
            self.states[step.folder] = replace(state, at="trash", spoilt=True)

    @rule(reached=st.sets(steps), operations=st.none() | st.integers(0, 2), after=st.booleans())
    def remember(self, reached: set[Step], operations: int | None, after: bool) -> None:
        before = self.study
        with self.fuse.lit(1000 if operations is None else operations, after):
            self.stores[0].remember("study", sorted(reached, key=STEPS.index))
        self.study = self.stores[1].reached()
        now = {step.folder for step in reached}
        assert self.study in ([now] if operations is None else [before, now])

    @rule(operations=st.none() | st.integers(0, MOST), after=st.booleans())
    def empty(self, operations: int | None, after: bool) -> None:
        """A week later the trash is emptied of what the study does not reach."""
        due = [step for step in STEPS if self.states[step.folder].at == "trash" and step.folder not in self.study]
        with self.fuse.lit(1000 if operations is None else operations, after):
            self.stores[0].empty(datetime.now(UTC) + LATER)
        for step in due:
            self.observe(step, [State()] if operations is None else [self.states[step.folder], State()])

    # What always holds

    @invariant()
    def what_is_done_is_sound(self) -> None:
        store = self.stores[1]
        assert store.finished() == {folder for folder, state in self.states.items() if state.at == "done"}
        assert set(store.trash()) == {folder for folder, state in self.states.items() if state.at == "trash"}
        assert store.verify() == []
        for step in STEPS:
            if self.states[step.folder].at == "done":
                assert store.is_whole(step) is self.states[step.folder].whole
                told = {name: file["sha256"] for name, file in store.record(step.folder)["files"].items()}
                assert told == EXPECTED[step.folder]

    def teardown(self) -> None:
        """Whatever happened: the same command ends, and what nobody needs leaves nothing behind."""
        store: Store = self.stores[1]
        age(store)
        for step in STEPS:
            perform(store, step, tell_nobody)
        assert all(store.is_whole(step) for step in STEPS)
        assert store.verify() == []
        store.remember("study", [])
        store.discard(store.unreached(), datetime.now(UTC))
        store.empty(datetime.now(UTC) + LATER)
        store.prepare()
        assert [name for name in self.place.files() if name.startswith("toy/")] == []


def expected() -> dict[str, dict[str, str]]:
    """By folder the SHA-256 of each file."""
    root = contents("root", [])
    leaf = contents("leaf", [], seen=[root["a.txt"]])
    told = {ROOT: root, LEAF: leaf, LONE: contents("lone", [])}
    return {
        step.folder: {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        for step, files in told.items()
    }


EXPECTED = expected()


def explore(kind: str, folder: Path, port: Callable[[], int], *, examples: int, length: int) -> None:
    with ExitStack() as stack:
        fuse = stack.enter_context(frail(kind))

        def world() -> World:
            return World(stack.enter_context(placed(kind, folder, port)), fuse)

        chosen = settings(
            max_examples=examples,
            stateful_step_count=length,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        run_state_machine_as_test(world, settings=chosen)


@pytest.mark.parametrize(
    ("kind", "examples"), [("disk", 25), ("memory", 25), pytest.param("s3", 3, marks=pytest.mark.long)]
)
def test_the_store_is_always_as_the_model_says(kind: str, examples: int, tmp_path: Path, request):
    explore(kind, tmp_path, lambda: request.getfixturevalue("s3_port"), examples=examples, length=15)


@pytest.mark.soak
@pytest.mark.parametrize(("kind", "examples"), [("disk", 150), ("memory", 150), ("s3", 15)])
def test_the_store_is_as_the_model_says_however_long(kind: str, examples: int, tmp_path: Path, request):
    explore(kind, tmp_path, lambda: request.getfixturevalue("s3_port"), examples=examples, length=40)
