"""The stages one after another on plain files, as somebody without a store would use them."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import SMALL, changed
from tiny import FAMILIES, write_backbone
from typer.testing import CliRunner

from codedose import tables
from codedose.cells import cells
from codedose.cli import app
from codedose.plan import Planner
from codedose.study import load

TASK = "coin_flip"


def do(*words: object) -> Any:
    """What a command prints as JSON."""
    told = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return json.loads(told.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("files")
    write_backbone(home / "tiny", FAMILIES[0], layers=1, hidden=32)
    (home / "study.yaml").write_text(json.dumps(changed(SMALL, {"tune.max_length": 512})))
    return home


def test_a_pool_becomes_effects_file_by_file(home: Path):
    study = ("--study", home / "study.yaml")
    pooled = do("pool", "builtin:starter", "--licence", "Apache-2.0", "--longest", 4000, "--out", home / "pool")
    assert pooled["records"] == pooled["kept"] + sum(pooled["dropped"].values())
    labels = do("label", home / "pool/examples.parquet", "--by", "stated", "--out", home / "labels.parquet")
    assert sum(labels["labels"].values()) == pooled["kept"]
    arms = ("--arm", "General=0", "--arm", "Code=1", "--budget", 8, "--math", 2, "--draws", 1)
    do("mix", home / "pool/examples.parquet", home / "labels.parquet", *arms, "--out", home / "mix")
    do("items", TASK, "--level", 1, "--count", 2, "--name", "files", "--out", home / "items.parquet")

    scored = []
    for arm in ("General", "Code"):
        cell = ("--backbone", "tiny", "--arm", arm, "--draw", 0, "--seed", 0)
        trained, replies, scores = home / arm, home / f"{arm}-replies.parquet", home / f"{arm}-scores.parquet"
        assert do("tune", home / "mix/draws.parquet", *study, *cell, "--out", trained)["steps"] == 2
        do("generate", trained / "checkpoint", home / "items.parquet", *study, "--out", replies)
        do("score", replies, "--items", home / "items.parquet", *study, *cell, "--out", scores)
        scored.append(scores)
    do("generate", "tiny", home / "items.parquet", *study, "--out", home / "untuned.parquet")
    untuned = ("--backbone", "tiny", "--out", home / "untuned-scores.parquet")
    do("score", home / "untuned.parquet", "--items", home / "items.parquet", *study, *untuned)

    read = pl.concat([tables.read(path, tables.SCORES) for path in [*scored, home / "untuned-scores.parquet"]])
    assert read["cell"].unique().sort().to_list() == ["tiny/Code/d0/s0", "tiny/General/d0/s0", "tiny/untuned"]
    assert len(read) == 3 * 2 * len(tables.READINGS)
    effects = do("analyse", *scored, home / "untuned-scores.parquet", *study, "--out", home / "effects.parquet")
    assert {"Code - General", "Code - untuned"} <= {row["contrast"] for row in effects}
    assert len(tables.read(home / "effects.parquet", tables.EFFECTS)) == len(effects)


def test_arms_that_match_on_tokens_are_trained_in_steps_of_equal_tokens(home: Path, tmp_path: Path):
    changes = {
        "mix.match_on": "tokens", "mix.tokenizer": "tiny", "mix.budget": 12_000, "mix.math": 1_200,
        "tune.step_size": 4_000, "tune.max_length": 512,
    }  # fmt: skip
    (home / "tokens.yaml").write_text(json.dumps(changed(SMALL, changes)))
    planner = Planner(load(home / "tokens.yaml"), home)
    pool, labels = tmp_path / "pool", tmp_path / "labels"
    for step, inputs, out in ((planner.pool, [], pool), (planner.label, [pool], labels)):
        out.mkdir()
        step.do(inputs, out, progress=silent, **step.settings, **step.given)
    for (arm, draw), step in planner.draws.items():
        drawn = tmp_path / f"{arm}-{draw}"
        drawn.mkdir()
        step.do([pool, labels], drawn, progress=silent, **step.settings, **step.given)
        cell = next(cell for cell in cells(planner.study) if cell.arm and (cell.arm.name, cell.draw) == (arm, draw))
        tune, out = planner.tune(cell), tmp_path / f"tuned-{arm}-{draw}"
        out.mkdir()
        tune.do([drawn], out, progress=silent, **tune.settings, **tune.given)
        tokens = tables.read(out / "training.parquet", tables.TRAINING)["tokens"]
        assert len(tokens) == 3
        assert tokens.sum() == pytest.approx(12_000, rel=0.005)
        assert max(abs(tokens - tokens.mean())) <= 0.005 * tokens.mean()


def silent(done: int, of: int, note: str) -> None:
    """Nobody watches."""


def test_one_cell_alone_can_be_analysed_and_shows_no_difference(home: Path, tmp_path: Path):
    items, replies = tmp_path / "items.parquet", tmp_path / "replies.parquet"
    study = ("--study", home / "study.yaml")
    do("items", TASK, "--level", 1, "--count", 2, "--name", "alone", "--out", items)
    do("generate", "tiny", items, *study, "--out", replies)
    cell = ("--backbone", "tiny", "--arm", "Code")
    do("score", replies, "--items", items, *study, *cell, "--out", tmp_path / "scores.parquet")
    effects = do("analyse", tmp_path / "scores.parquet", "--out", tmp_path / "effects.parquet")
    assert not [row for row in effects if " - " in row["contrast"]]
