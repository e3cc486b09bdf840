"""Failures: their classes, what is tried again and how, and what a person reads of a study that lacks a cell."""

import errno
import html
import io
import json
import pickle
import re
import shutil
import signal
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from conftest import SMALL
from hypothesis import given
from hypothesis import strategies as st
from test_analyse import STUDY, plant
from tiny import FAMILIES, write_backbone
from toys import Heard, die, flaky, go, greedy, halved, labels, toy

from codedose.analyse.cells import accuracies
from codedose.analyse.effects import effects
from codedose.cli.lost import behind, each_alone
from codedose.errors import DataError, Killed, MachineError, OutOfMemory, StudyError
from codedose.plan import Planner
from codedose.report.missing import losses
from codedose.runner.children import Children
from codedose.runner.failures import MOST, Patience, StepFailed, class_of, death, mend_of, reason_of
from codedose.runner.place import open_store
from codedose.runner.schedule import Outcome, Slots, inline, run
from codedose.runner.step import Step
from codedose.runner.tries import Failure
from codedose.stages import together_step
from codedose.study import load
from codedose.tables import UNTUNED
from codedose.tune.means import Means

QUICK = Patience(tries=4, first=0.004, factor=2, most=0.01)
SLOW = Patience(tries=2, first=3600, most=3600)


# Classes


def of(name: str, *bases: type, **members: object) -> type:
    """A class of a library that is not imported here."""
    return type(name, bases or (Exception,), members)


def because(problem: BaseException, cause: BaseException) -> BaseException:
    problem.__cause__ = cause
    return problem


def http(status: int) -> urllib.error.HTTPError:
    return urllib.error.HTTPError("https://example.org", status, "no", None, io.BytesIO())  # type: ignore[arg-type]


def answered(status: int) -> Exception:
    """As requests, httpx and huggingface_hub say it."""
    problem = Exception("no")
    problem.response = SimpleNamespace(status_code=status)  # type: ignore[attr-defined]
    return problem


def from_cloud(status: int) -> Exception:
    """As botocore says it."""
    problem = Exception("no")
    problem.response = {"ResponseMetadata": {"HTTPStatusCode": status}}  # type: ignore[attr-defined]
    return problem


KNOWN = [
    (DataError("row 3 has no answer"), "data"),
    (StudyError("mix.draws: must be 2"), "configuration"),
    (MachineError("vllm is not installed"), "configuration"),
    (OutOfMemory("out of memory with one example"), "memory"),
    (Killed("one of the processes was killed"), "transient"),
    (MemoryError(), "memory"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
    (of("OutOfMemoryError", RuntimeError)("CUDA out of memory. Tried to allocate 2 GiB"), "memory"),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"), "memory"),
    (RuntimeError("CUDA error: out of memory"), "memory"),
    (because(MachineError("the model cannot be loaded"), MemoryError()), "memory"),
    (because(DataError("the file claims 8 EB"), MemoryError()), "data"),
    (ConnectionResetError("reset"), "transient"),
    (TimeoutError("read"), "transient"),
    (OSError(errno.EIO, "Input/output error"), "transient"),
    (OSError(errno.ESTALE, "Stale file handle"), "transient"),
    (OSError(errno.ETIMEDOUT, "Connection timed out"), "transient"),
    (of("ComputeError")("read failed: Input/output error (os error 5)"), "transient"),
    (because(DataError("scores.parquet cannot be read"), OSError(errno.EIO, "Input/output error")), "transient"),
    (because(MachineError("the hub does not answer"), ConnectionError()), "transient"),
    (http(429), "transient"),
    (http(503), "transient"),
    (answered(500), "transient"),
    (from_cloud(503), "transient"),
    (http(404), "configuration"),
    (answered(401), "configuration"),
    (from_cloud(403), "configuration"),
    (of("ConnectError", of("NetworkError"))("no route"), "transient"),
    (of("WorkerCrashedError")("the worker died"), "transient"),
    (of("NodeDiedError")("the node died"), "transient"),
    (death(-signal.SIGKILL), "transient"),
    (death(-signal.SIGSEGV), "transient"),
    (death(-64), "transient"),
    (death(3), "bug"),
    (StepFailed("said elsewhere", (), "data"), "data"),
    (OSError(errno.ENOSPC, "No space left on device"), "configuration"),
    (of("ComputeError")("write failed: No space left on device (os error 28)"), "configuration"),
    (because(DataError("scores.parquet cannot be written"), OSError(errno.EDQUOT, "quota")), "configuration"),
    (PermissionError(errno.EACCES, "Permission denied"), "configuration"),
    (OSError(errno.EROFS, "Read-only file system"), "configuration"),
    (OSError(errno.EMFILE, "Too many open files"), "configuration"),
    (FileNotFoundError(errno.ENOENT, "No such file"), "bug"),
    (DataError("the item says (os error 5) and CUDA out of memory"), "data"),
    (KeyError("cell"), "bug"),
    (AssertionError(), "bug"),
    (RuntimeError("shapes differ"), "bug"),
]


@pytest.mark.parametrize(("problem", "kind"), KNOWN, ids=lambda value: repr(value)[:60])
def test_the_class_of_a_failure(problem: BaseException, kind: str):
    assert class_of(problem) == kind


def test_torchs_own_exception_is_one_of_memory():
    torch = pytest.importorskip("torch")
    assert class_of(torch.OutOfMemoryError("CUDA out of memory")) == "memory"


class Mute(Exception):
    """Raises whatever it is asked."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


class Posing(Exception):
    """Says numbers that are none."""

    code, status, response, errno = True, 10**30, {"ResponseMetadata": {}}, "28"


HOSTILE = [
    Mute(),
    Posing("x"),
    OSError("no number"),
    Exception("x" * 1_000_000),
    Exception("(os error " * 100_000),
    Exception("(os error 99999)"),
    DataError("\x1b[2J\x07\u202e\ud800 words"),
    type("A" * 100_000, (Exception,), {})(),
]


@pytest.mark.parametrize("problem", HOSTILE, ids=range(len(HOSTILE)))
def test_strange_exceptions_have_a_class_and_a_reason_that_prints(problem: Exception):
    began = time.monotonic()
    assert class_of(problem) == ("data" if isinstance(problem, DataError) else "bug")
    reason = reason_of(problem)
    assert time.monotonic() - began < 1
    assert reason
    assert reason.isprintable()
    assert len(reason) <= MOST + 10


def test_causes_in_a_circle_end():
    one, other = RuntimeError("a"), RuntimeError("b")
    one.__cause__, other.__cause__ = other, one
    assert class_of(one) == "bug"


@given(st.text())
def test_the_words_of_a_person_s_error_never_decide_its_class(words: str):
    assert class_of(DataError(words)) == "data"
    assert class_of(MachineError(words)) == class_of(StudyError(words)) == "configuration"


def test_what_a_child_says_of_a_failure_survives_being_sent():
    sent = pickle.loads(pickle.dumps(StepFailed("the words", ["a", "b"], "memory", True)))  # noqa: S301
    assert (str(sent), sent.log, sent.kind, sent.killed) == ("the words", ("a", "b"), "memory", True)


def test_every_class_has_a_mend_of_one_line_and_a_step_may_have_its_own_for_memory():
    kinds = ("transient", "memory", "data", "configuration", "bug")
    assert len({mend_of(kind) for kind in kinds}) == len(kinds)
    assert all("the same command" in mend_of(kind) and "\n" not in mend_of(kind) for kind in kinds)
    assert [kind for kind in kinds if "lower it" in mend_of(kind, "lower it")] == ["memory"]


# Patience


def test_pauses_grow_up_to_a_limit_and_belong_to_names():
    patience = Patience(tries=9, first=1, factor=4, most=60)
    for name in "abc":
        found = [patience.pause(name, tries) for tries in range(1, 9)]
        whole = [min(60, 4**n) for n in range(8)]
        assert all(all_of_it / 2 <= pause <= all_of_it for pause, all_of_it in zip(found, whole, strict=True))
        assert found == [patience.pause(name, tries) for tries in range(1, 9)]
    assert len({patience.pause(name, 1) for name in "abcdefgh"}) == 8


# Tries


def flaky_step(tmp_path: Path, name: str, *, good: int, problem: str = "transient", **more: Any) -> Step:
    given = {"place": str(tmp_path / f"{name}.journal"), "good": good, "problem": problem}
    return toy(name, do=flaky, given=given, **more)


def tries(step: Step) -> list[float]:
    return [float(line) for line in Path(str(step.given["place"])).read_text().splitlines()]


def patient(root: Path, *steps: Step, submit: Any = inline, slots: int = 2, patience: Patience = QUICK, tell=None):
    return run(open_store(root), steps, slots=Slots(slots), submit=submit, tell=tell or Heard(), patience=patience)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture(params=["here", "children"])
def submit(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "here":
        yield inline
        return
    with Children() as engine:
        yield engine.submit


class Tries(Heard):
    """Remembers what was to be tried again."""

    def __init__(self) -> None:
        super().__init__()
        self.repeated: list[tuple[str, str, int]] = []

    def again(self, step, failure):
        self.repeated.append((step.label, failure.kind, failure.tries))


def test_a_transient_failure_is_tried_again_until_it_is_over(root, tmp_path, submit):
    step, heard = flaky_step(tmp_path, "a", good=3), Tries()
    outcome = patient(root, step, toy("after", step), submit=submit, tell=heard)
    assert labels(outcome.performed) == ["a", "after"]
    assert (outcome.failed, outcome.blocked) == ([], [])
    assert heard.repeated == [("a", "transient", 1), ("a", "transient", 2)]
    first, second, third = tries(step)
    assert second - first >= QUICK.first / 2
    assert third - second >= QUICK.first


def test_one_that_is_never_over_is_told_with_its_tries_and_blocks_what_needs_it(root, tmp_path, submit):
    step = flaky_step(tmp_path, "a", good=99)
    outcome = patient(root, step, toy("after", step), toy("well"), submit=submit)
    (failure,) = outcome.failed
    assert (failure.kind, failure.tries, failure.reason) == ("transient", QUICK.tries, "it is away")
    assert len(tries(step)) == QUICK.tries
    assert labels(outcome.performed) == ["well"]
    assert labels(outcome.blocked) == ["after"]
    again = patient(root, step, patience=Patience(tries=1))  # the same command tries it again
    assert [failure.tries for failure in again.failed] == [1]


@pytest.mark.parametrize("problem", ["bug", "data", "configuration"])
def test_what_does_not_pass_is_told_at_once(root, tmp_path, submit, problem):
    step = flaky_step(tmp_path, "a", good=2, problem=problem)
    (failure,) = patient(root, step, submit=submit).failed
    assert (failure.kind, failure.tries) == (problem, 1)
    assert len(tries(step)) == 1


def test_a_step_that_waits_for_its_next_try_holds_no_slot(root, tmp_path):
    """In one slot everything else is done while the first step waits."""
    step, heard = flaky_step(tmp_path, "first", good=2), Heard()
    others = [toy(name) for name in "abcdef"]
    slow = Patience(tries=2, first=1.0, factor=1, most=1.0)
    outcome = patient(root, step, *others, slots=1, patience=slow, tell=heard)
    assert heard.over == [*"abcdef", "first"]
    assert outcome.failed == []


def test_what_it_will_read_is_kept_while_it_waits(root, tmp_path):
    tune = toy("tune", perishable="checkpoint")
    ask = flaky_step(tmp_path, "ask", good=2)
    ask = Step("toy", "ask", flaky, 1, {}, (tune,), given=ask.given, consumes=(tune,))
    outcome = patient(root, tune, ask, toy("other", tune, consumes=(tune,)))
    assert labels(outcome.performed) == ["tune", "other", "ask"]
    assert not (root / tune.folder / "checkpoint").exists()


# Memory


def greedy_step(tmp_path: Path, *, fits: int, smaller: Any = halved) -> Step:
    given = {"size": 8, "fits": fits, "place": str(tmp_path / "sizes")}
    return Step("toy", "greedy", greedy, 1, given=given, smaller=smaller, too_large="buy memory")


def sizes(tmp_path: Path) -> list[int]:
    return [int(line) for line in (tmp_path / "sizes").read_text().split()]


def test_what_memory_does_not_suffice_for_is_tried_smaller(root, tmp_path, submit):
    step = greedy_step(tmp_path, fits=2)
    outcome = patient(root, step, toy("after", step), submit=submit)
    assert labels(outcome.performed) == ["greedy", "after"]
    assert sizes(tmp_path) == [8, 4, 2]
    assert (root / step.folder / "done.txt").is_file()


def test_until_nothing_smaller_is_left(root, tmp_path, submit):
    (failure,) = patient(root, greedy_step(tmp_path, fits=0), submit=submit).failed
    assert (failure.kind, failure.tries) == ("memory", 4)
    assert sizes(tmp_path) == [8, 4, 2, 1]
    assert failure.mend.startswith("buy memory, then")


def test_a_step_that_has_nothing_smaller_is_told_at_once(root, tmp_path):
    (failure,) = patient(root, greedy_step(tmp_path, fits=0, smaller=None)).failed
    assert (failure.kind, failure.tries) == ("memory", 1)


def test_a_step_that_is_killed_twice_lacks_memory(root):
    killed = Step("toy", "killed", die, 1, {"number": int(signal.SIGKILL)})
    with Children() as engine:
        (failure,) = patient(root, killed, submit=engine.submit).failed
    assert (failure.kind, failure.tries) == ("memory", 2)
    assert "SIGKILL" in failure.reason


def test_a_process_that_lacked_memory_serves_no_other_step(root, tmp_path):
    with Children() as engine:
        first = greedy_step(tmp_path, fits=0, smaller=None)
        go(root, first, submit=engine.submit)
        (worker,) = engine.workers
        assert not worker.process.is_alive()
        assert go(root, toy("next"), submit=engine.submit).failed == []


def test_what_memory_a_training_takes_can_be_made_less_and_its_key_stays(a_study):
    study = load(a_study())
    planner = Planner(study, a_study().parent, means=Means(processes=2))
    tune = next(step for step in planner.steps if step.kind == "tune")
    found, given = [], tune.given
    assert tune.smaller is not None
    while (given := tune.smaller(given)) is not None:
        means = Means(**given["means"])  # type: ignore[arg-type]
        assert means.processes == 2
        found.append((means.micro_tokens, means.checkpointing))
    assert found == [(2048, False), (1024, False), (1024, True)]
    assert {step.smaller for step in planner.steps if step.kind in ("generate", "loss")} == {None}
    assert all(step.too_large for step in planner.steps if step.kind in ("tune", "generate", "loss"))


def test_adapters_that_failed_together_train_alone_as_the_same_steps(a_study, tmp_path):
    lora = {"rank": 2, "alpha": 4.0, "dropout": 0.0, "targets": "attention"}
    study = load(a_study({"tune.method": "lora", "tune.lora": lora}))
    planner = Planner(study, tmp_path, means=Means(together="always"))
    (together,) = (step for step in planner.steps if step.kind == "together")
    assert each_alone(planner, Outcome()) is None
    alone = each_alone(planner, Outcome(failed=[Failure(together, "no words")]))
    assert alone is not None
    assert [s.key for s in alone.steps] == [s.key for s in planner.steps if s is not together]
    assert together.smaller is not None
    less = together.smaller(together.given)
    assert less is not None
    together_step([], tmp_path, progress=print, **together.settings, **less)  # type: ignore[arg-type]
    assert json.loads((tmp_path / "together.json").read_text())["stopped"] == "out of memory"
    assert together.smaller(less) is None


# What a study lacks, and what that does to its conclusions


CODE, HALF, GENERAL = "Code", "Half", "General"


def lost_cell(backbone: str, arm: str, draw: int | None, **failure: Any) -> dict[str, Any]:
    told = {"step": f"tune {backbone}/{arm}", "task": None, "class": "memory", "tries": 4, "reason": "out", **failure}
    name = f"{backbone}/{arm}/d{draw}/s0"
    seed = None if draw is None else 0
    return {"cell": name, "backbone": backbone, "arm": arm, "draw": draw, "seed": seed, "failures": [told]}


class Part:
    """A planted study without some cells: what the page says of them."""

    def __init__(self, lost: list[dict[str, Any]], *, draws: int = 4) -> None:
        scores = plant(draws=draws)
        gone = pl.DataFrame([{name: cell[name] for name in ("backbone", "arm", "draw")} for cell in lost])
        gone = gone.cast({"draw": scores.schema["draw"]})
        scores = scores.join(gone, on=["backbone", "arm", "draw"], how="anti", nulls_equal=True)
        tables = {
            "scores": scores,
            "accuracies": accuracies(scores, confidence=0.95, partial=True),
            "effects": effects(scores, **STUDY, partial=True),
        }
        study = {
            "mix": {"arms": [{"name": name} for name in (GENERAL, HALF, CODE)], "draws": draws},
            "joined": None,
            "tune": {"seeds": 1},
            "backbones": [{"name": "a1"}, {"name": "b1"}],
            "untuned": True,
            "tasks": [],
            "analyse": {"primary": {"arm": CODE, "against": GENERAL}, "reading": STUDY["reading"]},
        }
        told = losses(study, tables, lost)
        self.told = " ".join(told["sentences"])  # type: ignore[arg-type]
        self.failures, self.counts = (
            [[cell.text for cell in row] for row in told[name].rows]  # type: ignore[attr-defined]
            for name in ("failures", "counts")
        )


def test_a_lost_cell_costs_its_draw_and_the_primary_contrast_is_given_over_the_others():
    part = Part([lost_cell("a1", CODE, 2)])
    assert "the draw 2 is left out for all arms and backbones, with 5 runs whose replies are shown below" in part.told
    assert "3 of 4 draws remain" in part.told
    assert "The primary contrast Code - General rests on 3 of 4 draws: it can still be given" in part.told
    assert part.failures == [["tune a1/Code", "out of memory", "4", "out", "a1/Code/d2/s0"]]
    assert part.counts == [
        ["arm Code", "1", "8"],
        ["draw 2", "1", "6"],
        ["backbone a1", "1", "12"],
        ["every task", "1", "26"],
    ]


def test_with_one_draw_left_nothing_is_said_of_new_draws():
    part = Part([lost_cell("a1", CODE, 0), lost_cell("b1", HALF, 1)], draws=3)
    assert "the draws 0, 1 are left out" in part.told
    assert "rests on 1 of 3 draws: it says whether these checkpoints differ, and nothing of new draws" in part.told


def test_a_backbone_without_a_whole_draw_is_left_out_and_the_draws_of_the_other_stay():
    part = Part([lost_cell("a1", CODE, draw) for draw in range(4)])
    assert "The backbone a1 has no whole draw and is left out of every comparison" in part.told
    assert "over 1 of 2 backbones" in part.told
    assert "rests on 4 of 4 draws, as planned" in part.told
    assert "left out for all arms" not in part.told


def test_an_arm_without_a_run_has_no_contrast():
    part = Part([lost_cell(backbone, HALF, draw) for backbone in ("a1", "b1") for draw in range(4)])
    assert "The arm Half has no run that is analysed: no contrast with it is given." in part.told
    assert "rests on 4 of 4 draws, as planned" in part.told


def test_a_lost_untuned_backbone_costs_the_gains():
    part = Part([lost_cell("b1", UNTUNED, None)])
    assert "No gain over the untuned backbone is given: b1 untuned is missing." in part.told
    assert ["untuned backbones", "1", "2"] in part.counts


def test_a_task_that_was_not_asked_is_named():
    part = Part([lost_cell("a1", CODE, 2, step="generate a1/Code-sums", task="sums")])
    assert "Of 1 cell the replies to sums could not be had" in part.told


def test_cells_that_one_failure_cost_stand_in_one_row():
    cells = [lost_cell("a1", arm, draw, step="mix") for arm in (CODE, HALF) for draw in (0, 1)]
    (row,) = Part(cells).failures
    assert row == ["mix", "out of memory", "4", "out", ", ".join(cell["cell"] for cell in cells)]


def test_what_is_lost_is_blamed_on_what_failed():
    pool = toy("pool")
    mix, other = (toy(name, pool, settings={"name": name}) for name in ("mix", "other"))

    def cell(kind: str, name: str, *needs: Step) -> Step:
        return Step(kind, name, flaky, 1, {"cell": name, "task": "sums"}, needs)

    tunes = [cell("tune", "x", mix), cell("tune", "y", other), cell("tune", "z", other)]
    asked = [cell("generate", name, tune) for name, tune in zip("xyz", tunes, strict=True)]
    failed = [Failure(mix, "no such file", kind="data"), Failure(asked[1], "it is away", kind="transient", tries=4)]
    undone = {step.key for step in (mix, tunes[0], asked[0], asked[1])}
    found = behind([pool, mix, other, *tunes, *asked], failed, undone)
    assert {name: [(each["step"], each["class"], each["task"]) for each in some] for name, some in found.items()} == {
        "x": [("toy mix", "data", None)],
        "y": [("generate y", "transient", "sums")],
    }


@pytest.mark.long
def test_a_study_that_lacks_a_cell_ends_with_3_and_a_report_that_says_what_that_does(codedose, a_study, tmp_path):
    """A file lies where one of six trainings wants to work. Without it the same command makes the study whole."""
    shutil.rmtree(tmp_path / "tiny")
    write_backbone(tmp_path / "tiny", FAMILIES[0], layers=1, hidden=32)
    path = a_study({"mix.draws": 3, "pool.leaks": "keep", "tune.max_length": 512, "tasks": SMALL["tasks"][:1]})
    steps = Planner(load(path), tmp_path).steps
    bad = next(step for step in steps if step.kind == "tune" and step.label == "tiny/Code/d1/s0")
    obstacle = tmp_path / "store" / "scratch" / bad.folder
    obstacle.parent.mkdir(parents=True)
    obstacle.write_text("in the way")
    told = codedose("run", path, "--cores", 1, "--json")
    assert told.code == 3, told
    (failure,) = told.json["failed"]
    assert (failure["class"], failure["tries"]) == ("bug", 1)
    assert "the same command" in failure["mend"]
    assert Path(failure["log"]).is_file()
    assert told.json["missing_cells"] == ["tiny/Code/d1/s0"]
    page = Path(told.json["report"]).read_bytes()
    words = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.decode())).split())
    assert "1 cell missing" in words
    assert "tune tiny/Code/d1/s0 bug 1" in words
    assert failure["reason"] in words
    assert "the draw 1 is left out for all arms and backbones, with 1 run whose replies are shown below" in words
    assert "The primary contrast Code - General rests on 2 of 3 draws" in words
    said = codedose("run", path, "--cores", 1)
    assert said.code == 3
    assert "failed: tune tiny/Code/d1/s0: " in said.err
    assert "    bug: this is a fault of codedose" in said.err
    assert f"    the whole log: {failure['log']}" in said.err
    assert Path(told.json["report"]).read_bytes() == page
    obstacle.unlink()
    whole = codedose("run", path, "--cores", 1, "--json")
    assert (whole.code, whole.json["failed"], whole.json["missing_cells"]) == (0, [], [])
    assert "cell missing" not in Path(whole.json["report"]).read_text()
