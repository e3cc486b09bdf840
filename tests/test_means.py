"""How a training is done changes speed and memory, never what is trained; who hears of it cannot disturb it."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from accelerate import tracking as accelerates
from conftest import SMALL, changed
from test_tune import SETTINGS, silent, some_examples
from test_tune_resume import Killed, fresh, told
from tiny import FAMILIES, write_backbone

from codedose.tune import train
from codedose.tune.means import TRACKERS, Means
from codedose.tune.tracking import Tracking

HOW = SETTINGS.model_copy(update={"epochs": 2, "weight_decay": 0.1})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Matrices of 4,096 weights and more, which are those whose states bitsandbytes keeps in 8 bits."""
    family = next(family for family in FAMILIES if family.name == "Llama-2")
    return write_backbone(tmp_path_factory.mktemp("backbones") / "tiny", family, layers=2, hidden=64)


def trained(folder: Path, **more: Any) -> tuple[Any, list[dict[str, Any]]]:
    model = fresh(folder, HOW)
    return model, train(model, some_examples(16), HOW, seed=1, progress=silent, **more)


def test_layers_computed_twice_give_the_same_weights(folder):
    usual, rows = trained(folder)
    twice, again = trained(folder, means=Means(checkpointing=True))
    assert twice.is_activation_checkpointing
    assert told(again) == told(rows)
    assert all(torch.equal(one, other) for one, other in zip(usual.parameters(), twice.parameters(), strict=True))


def test_states_of_eight_bits_take_a_quarter_and_come_near(folder, tmp_path):
    pytest.importorskip("bitsandbytes")
    logs = {}
    for name, states in (("8", "8bit"), ("32", "whole")):
        (tmp_path / name).mkdir()
        logs[name] = trained(folder, means=Means(states=states), kept=tmp_path / name, kept_every=0.0)[1]
    sizes = {name: (tmp_path / name / "state.safetensors").stat().st_size for name in ("8", "32")}
    assert sizes["8"] < 0.7 * sizes["32"]  # weights whole, large states a quarter, small ones whole
    losses = {name: [row["loss"] for row in log] for name, log in logs.items()}
    assert losses["8"] != losses["32"]
    assert losses["8"] == pytest.approx(losses["32"], rel=0.01)


@pytest.mark.parametrize("killed_in", [1, 5])
def test_states_of_eight_bits_go_on_to_the_last_bit(folder, tmp_path, killed_in):
    pytest.importorskip("bitsandbytes")
    whole, rows = trained(folder, means=Means(states="8bit"))

    def kill(done: int, of: int, note: str) -> None:
        if done == killed_in:
            raise Killed

    how = {"means": Means(states="8bit"), "kept": tmp_path, "kept_every": 0.0}
    with pytest.raises(Killed):
        train(fresh(folder, HOW), some_examples(16), HOW, seed=1, progress=kill, **how)
    model, again = trained(folder, **how)
    assert told(again) == told(rows)
    assert all(torch.equal(one, other) for one, other in zip(whole.parameters(), model.parameters(), strict=True))


# Trackers


class Hearing:
    """A tracker as accelerate's are, which keeps what it hears."""

    heard: list[Any]

    def __init__(self, project: str, **named: Any) -> None:
        type(self).heard = [("begun", project, named)]

    def start(self) -> None:
        self.heard.append("started")

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.heard.append(values)

    def log(self, values: dict[str, Any], step: int) -> None:
        self.heard.append((step, values["loss"]))

    def finish(self) -> None:
        self.heard.append("finished")


class Failing(Hearing):
    def log(self, values: dict[str, Any], step: int) -> None:
        raise RuntimeError("no disk, no network, no luck")


class Exiting(Hearing):
    def start(self) -> None:
        raise SystemExit("log in first")


class Hanging(Hearing):
    def log(self, values: dict[str, Any], step: int) -> None:
        time.sleep(60)


@pytest.fixture
def tracked(monkeypatch, folder):
    """A training that one tracker hears; its log and how long it took."""

    def do(tracker: type[Hearing]) -> tuple[list[dict[str, Any]], float]:
        monkeypatch.setitem(accelerates.LOGGER_TYPE_TO_CLASS, "wandb", tracker)
        means, began = Means(report_to=("wandb",), project="a-study"), time.monotonic()
        with Tracking(means, run="tiny/Code/d0/s0", settings={"seed": 1}, patience=0.5) as tracking:
            rows = trained(folder, hear=tracking.log)[1]
        return rows, time.monotonic() - began

    return do


def test_a_tracker_hears_every_step_under_the_names_of_study_and_cell(tracked):
    rows, _ = tracked(Hearing)
    begun, *rest = Hearing.heard
    assert begun[:2] == ("begun", "a-study")
    assert begun[2]["name"] == "tiny/Code/d0/s0"
    assert rest == ["started", {"seed": 1}, *((row["step"], row["loss"]) for row in rows), "finished"]


@pytest.mark.parametrize(
    ("tracker", "reason"),
    [(Failing, "no luck"), (Exiting, "SystemExit: log in first"), (Hanging, "not done 0.5 seconds after")],
)
def test_a_tracker_that_fails_or_hangs_is_told_and_stops_nothing(tracked, folder, tracker, reason):
    with pytest.warns(UserWarning, match=f"wandb did not track tiny/Code/d0/s0: .*{reason}"):
        rows, seconds = tracked(tracker)
    assert told(rows) == told(trained(folder)[1])
    assert seconds < 30


@pytest.mark.parametrize("name", TRACKERS)
def test_every_tracker_is_one_of_accelerates(name):
    assert name in accelerates.LOGGER_TYPE_TO_CLASS


def test_tensorboard_finds_the_losses(folder, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install 'codedose[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    means = Means(report_to=("tensorboard",), project="a-study", folder=str(tmp_path))
    with Tracking(means, run="tiny/Code/d0/s0", settings={"seed": 1}) as tracking:
        rows = trained(folder, hear=tracking.log)[1]
    (written,) = {path.parent for path in tmp_path.glob("a-study/*code*/events*")}
    found = EventAccumulator(str(written)).Reload().Scalars("loss")
    assert [each.value for each in found] == pytest.approx([row["loss"] for row in rows])


# The command line


@pytest.fixture
def lora_study(tmp_path, folder):
    lora = {"rank": 4, "alpha": 8.0, "dropout": 0.0, "targets": "all_linear"}
    told = {
        "backbones.0.model": str(folder), "prompt.template": "vicuna", "tune.max_length": 300, "keep_checkpoints": True,
        "tune.method": "lora", "tune.lora": lora, "tune.seeds": 2, "untuned": False, "mix.held_out": 0,
    }  # fmt: skip
    path = tmp_path / "lora.yaml"
    path.write_text(json.dumps(changed(SMALL, told)))
    return path


def training(store: Path) -> pl.DataFrame:
    files = sorted(store.glob("tune/*/training.parquet"), key=lambda file: file.parent.name)
    return pl.concat(map(pl.read_parquet, files)).sort("cell", "step")


@pytest.mark.soak
def test_a_study_is_the_same_however_its_trainings_are_done(lora_study, codedose, tmp_path):
    """One after another, adapters in the same passes, and one of them again by two processes that hold parts."""
    for name, words in {"usual": (), "together": ("--together", "always")}.items():
        told = codedose("run", lora_study, "--store", tmp_path / name, "--cores", 2, "--gpus", 0, *words)
        assert told.code == 0, told.err
    usual, found = training(tmp_path / "usual"), training(tmp_path / "together")
    assert usual.height == 2 * 2 * 2 * 2  # arms, draws, seeds, steps
    assert found["cell"].to_list() == usual["cell"].to_list()
    assert found["loss"].to_list() == pytest.approx(usual["loss"].to_list(), rel=1e-5)
    folders = [{place.name for place in (tmp_path / store).glob("tune/*")} for store in ("usual", "together")]
    assert folders[0] == folders[1]
    said = json.loads(next((tmp_path / "together").glob("together/*/together.json")).read_text())
    assert said["runs"] == 8
    assert said["factor"] > 0
    assert "stopped" not in said
    assert not (tmp_path / "usual" / "together").exists()

    draws = next((tmp_path / "usual").glob("mix/code-d0*/draws.parquet"))
    which = ("--arm", "Code", "--draw", 0, "--seed", 1, "--backbone", "tiny", "--out", tmp_path / "two")
    told = codedose("tune", draws, "--study", lora_study, *which, "--processes", 2, "--sharded")
    assert told.code == 0, told.err
    alone = usual.filter(pl.col("cell") == "tiny/Code/d0/s1")["loss"].to_list()
    assert pl.read_parquet(tmp_path / "two" / "training.parquet")["loss"].to_list() == pytest.approx(alone, rel=1e-5)
    assert (tmp_path / "two" / "checkpoint" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--states", "4bit"), "--states 4bit: must be one of whole, 8bit"),
        (("--report-to", "mail"), "--report-to mail: must be one of tensorboard, wandb, mlflow, trackio"),
    ],
)
def test_an_option_that_is_none_is_refused_before_anything_runs(a_study, codedose, tmp_path, words, said):
    told = codedose("run", a_study(), "--store", tmp_path / "store", *words)
    assert told.code == 2
    assert said in told.err
    assert not (tmp_path / "store").exists()


def test_means_are_in_no_key(planned_keys):
    usual, other = planned_keys(Means()), planned_keys(Means(True, "8bit", 2, True, "always", ("wandb",), "x", "y"))
    assert usual == other


@pytest.fixture
def planned_keys(a_study):
    from codedose.plan import Planner
    from codedose.study import load

    planner = Planner(load(a_study()), a_study().parent)
    return lambda means: [step.key for step in replace(planner, means=means).steps]
