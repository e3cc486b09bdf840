"""Six families at two scales pass through the whole line in one study: every kind of attention, head and tokenizer."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml
from conftest import SMALL
from tiny import FAMILIES, SIZES, write_backbone

from codedose import stages, tables
from codedose.backbone import load_model, load_tokenizer
from codedose.cells import cells
from codedose.plan import Planner, settled
from codedose.prompt import encode, stop_token
from codedose.runner.disk import Disk
from codedose.runner.schedule import Outcome, Slots, Teller, inline, run
from codedose.runner.step import Step
from codedose.stages import training
from codedose.study import Study, load

pytestmark = pytest.mark.long

ARMS = [
    {"name": name, "share": share, "repeat": None, "control": None} for name, share in (("General", 0.0), ("Code", 1.0))
]
TASKS = ("coin_flip", "prontoqa", "gsm8k")  # one a domain
ITEMS, DRAWS = 2, 1
TUNED = len(FAMILIES) * len(SIZES) * len(ARMS) * DRAWS
CELLS = TUNED + len(FAMILIES) * len(SIZES)


class Line:
    """A study that ran: its plan, its store, what the run did, and the weights as training left them."""

    def __init__(self, home: Path) -> None:
        self.home, self.store = home, home / "store"
        self.study = write_study(home)
        self.planner = Planner(self.study, home)
        self.trained: dict[str, dict[str, torch.Tensor]] = {}
        self.outcome = self.run()

    def run(self) -> Outcome:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "keep", self.watched(training.keep))
            outcome = self.perform(self.planner.search)
            self.planner = settled(self.planner, Disk(self.store))
            outcome.add(self.perform(self.planner.steps))
            return outcome

    def perform(self, steps: Sequence[Step]) -> Outcome:
        return run(Disk(self.store), steps, slots=Slots(1), submit=inline, tell=Teller())

    def watched(self, keep: Any) -> Any:
        """What keeps a checkpoint, and a note of the weights that it was given."""

        def kept(model: Any, tokenizer: Any, folder: Path, dtype: str) -> None:
            weights = {name: weights.clone() for name, weights in model.state_dict().items()}
            self.trained[folder.parent.name] = weights
            keep(model, tokenizer, folder, dtype)

        return kept

    def steps(self, kind: str) -> list[Step]:
        return [step for step in self.planner.steps if step.kind == kind]

    def folder(self, step: Step) -> Path:
        return self.store / step.folder

    def rows(self, kind: str, table: tables.Table) -> pl.DataFrame:
        return stages.take([self.folder(step) for step in self.steps(kind)], table)


def write_study(home: Path) -> Study:
    """A study of all families at both scales in `home`, as a user would write it, and read back."""
    backbones = []
    for family in FAMILIES:
        for layers, hidden in SIZES:
            name = f"{family.name}-{hidden}"
            write_backbone(home / name, family, layers=layers, hidden=hidden)
            scale = hidden / 1e6
            backbones.append({"name": name, "model": name, "revision": None, "family": family.name, "scale": scale})
    asked = {"origin": "generated", "path": None, "level": 1, "count": ITEMS, "max_new_tokens": 4}
    said = {
        **SMALL,
        "name": "six-families",
        "mix": {**SMALL["mix"], "budget": 4, "math": 0, "draws": DRAWS, "arms": ARMS},
        "prompt": {"template": "vicuna", "system": None},
        "tune": {**SMALL["tune"], "step_size": 2, "max_length": 320},
        "backbones": backbones,
        "tasks": [{"name": task, **asked} for task in TASKS],
        "keep_checkpoints": True,
    }
    path = home / "study.yaml"
    path.write_text(yaml.safe_dump(said))
    return load(path)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # models this small are several times slower on more
    yield Line(tmp_path_factory.mktemp("six-families"))
    torch.set_num_threads(threads)


def test_every_step_is_done_and_none_runs_again(line: Line):
    assert [(failure.step.folder, failure.reason) for failure in line.outcome.failed] == []
    assert line.outcome.blocked == []
    assert all(Disk(line.store).is_whole(step) for step in line.planner.steps)
    assert Counter(step.kind for step in line.outcome.performed) == {
        "pool": 1,
        "leaks": 1,
        "exclude": 1,
        "label": 1,
        "mix": len(ARMS) * DRAWS,
        "balance": 1,
        "lengths": len(FAMILIES) * len(SIZES),
        "held_out": 1,
        "loss": CELLS,
        "items": len(TASKS),
        "tune": TUNED,
        "generate": CELLS * len(TASKS),
        "score": CELLS,
        "analyse": 1,
        "report": 1,
    }
    assert line.run().performed == []


def test_the_report_names_every_backbone_family_and_arm(line: Line):
    page = (line.folder(line.steps("report")[0]) / "report.html").read_text(encoding="utf-8")
    for backbone in line.study.backbones:
        assert backbone.name in page
    for name in (*(family.name for family in FAMILIES), *(arm["name"] for arm in ARMS)):
        assert name in page


def test_scores_are_complete(line: Line):
    scores = line.rows("score", tables.SCORES)
    cell, task, reading = (scores[name].unique().to_list() for name in ("cell", "task", "reading"))
    assert sorted(cell) == sorted(cell.name for cell in cells(line.study))
    assert (sorted(task), sorted(reading)) == (sorted(TASKS), sorted(tables.READINGS))
    each = scores.group_by("cell", "task", "reading").agg(pl.col("item_id").n_unique(), pl.len())
    assert each.height == CELLS * len(TASKS) * len(tables.READINGS)
    assert set(each["item_id"]) == set(each["len"]) == {ITEMS}
    assert scores["draw"].null_count() == (CELLS - TUNED) * len(TASKS) * len(tables.READINGS) * ITEMS


def test_every_backbone_and_all_of_them_have_effects_in_every_view(line: Line):
    effects = line.rows("analyse", tables.EFFECTS).filter(pl.col("contrast") == "Code - General")
    names = [None, *(backbone.name for backbone in line.study.backbones)]
    for view, expected in (("overall", 1), ("domain", 3), ("task", len(TASKS))):
        for name in names:
            found = effects.filter((pl.col("view") == view) & pl.col("backbone").eq_missing(pl.lit(name)))
            assert found["of"].n_unique() == expected


def test_every_checkpoint_gives_the_trained_weights_back(line: Line):
    before = {backbone.name: load_model(line.home / backbone.model, "float32") for backbone in line.study.backbones}
    for step in line.steps("tune"):
        trained = next(weights for name, weights in line.trained.items() if line.folder(step).name in name)
        reloaded = load_model(line.folder(step) / stages.CHECKPOINT, "float32").state_dict()
        assert reloaded.keys() == trained.keys()
        assert all(torch.equal(reloaded[name], weights) for name, weights in trained.items())
        start = before[step.where.worker].state_dict()
        assert not any(torch.equal(start[name], weights) for name, weights in trained.items()), step.label


def test_a_checkpoint_of_mixed_training_is_its_weights_rounded_once(line: Line, tmp_path: Path):
    for backbone in line.study.backbones:
        model = load_model(line.home / backbone.model, "float32")
        rounded = {name: weights.bfloat16() for name, weights in model.state_dict().items()}
        stages.keep(model, load_tokenizer(line.home / backbone.model), tmp_path / backbone.name, "bfloat16")
        reloaded = load_model(tmp_path / backbone.name, "bfloat16").state_dict()
        assert all(torch.equal(reloaded[name], weights) for name, weights in rounded.items())


def test_a_checkpoint_asks_and_reads_like_its_backbone(line: Line):
    text = "Is it <s> 12 + 30 = 42? Oui, ça va.\n"
    for step in line.steps("tune"):
        first, again = (
            load_tokenizer(place) for place in (line.home / step.where.worker, line.folder(step) / stages.CHECKPOINT)
        )
        assert first.encode(text) == again.encode(text)
        assert (first.eos_token_id, first.bos_token_id) == (again.eos_token_id, again.bos_token_id)


def test_no_arm_of_any_draw_trained_on_what_was_held_out(line: Line):
    held_out = line.rows("held_out", tables.HELD_OUT)
    assert held_out["label"].value_counts(sort=True)["count"].to_list() == [2, 2, 2]
    assert set(line.rows("mix", tables.DRAWS)["example_id"]).isdisjoint(held_out["example_id"])


def test_every_cell_is_measured_on_the_same_tokens_of_its_backbone(line: Line):
    losses = line.rows("loss", tables.LOSSES)
    assert losses.group_by("cell").len()["len"].unique().to_list() == [3]
    assert losses["cell"].n_unique() == CELLS
    backbone = losses.with_columns(pl.col("cell").str.split("/").list.first().alias("backbone"))
    same = backbone.group_by("backbone", "label").agg(pl.col("tokens", "examples").n_unique())
    assert same.select("tokens", "examples").unique().rows() == [(1, 1)]
    assert (
        losses.group_by("label", pl.col("cell").str.split("/").list.first())
        .agg(pl.col("loss").n_unique())["loss"]
        .min()
        == 1 + len(ARMS) * DRAWS
    )  # each run left weights of its own, and they were what was measured


def test_losses_are_borne_by_the_replies_of_the_draws(line: Line):
    training = line.rows("tune", tables.TRAINING)
    for step in line.steps("tune"):
        tokenizer = load_tokenizer(line.home / step.where.worker)
        draws = stages.take([line.folder(need) for need in step.needs], tables.DRAWS)
        borne = 0
        for messages in draws["messages"]:
            told = encode(messages, tokenizer, template="vicuna", system=None, max_length=320)
            borne += told.loss_tokens
            flagged = groupby(zip(told.tokens, told.loss, strict=True), lambda pair: pair[1])
            spans = [[token for token, _ in stretch] for bears, stretch in flagged if bears]
            replies = [message["content"].strip() for message in messages if message["role"] == "assistant"]
            for span, reply in zip(spans, replies, strict=False):
                whole = span[-1] == stop_token(tokenizer)
                said = tokenizer.decode(span[:-1] if whole else span).strip().removesuffix("�")
                assert said == reply if whole else reply.startswith(said)
        assert training.filter(pl.col("cell") == step.settings["cell"])["loss_tokens"].sum() == borne


def test_all_arms_take_the_same_steps(line: Line):
    training = line.rows("tune", tables.TRAINING).group_by("cell").agg(pl.col("step", "learning_rate").sort_by("step"))
    assert training["step"].to_list() == [[1, 2]] * TUNED
    assert len({tuple(rates) for rates in training["learning_rate"]}) == 1
