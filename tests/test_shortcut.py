"""Which share, the whole line: a tiny LoRA study, what is recommended of it, and adapters between its ends."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from conftest import SMALL, changed
from test_analyse import one, plant
from tiny import FAMILIES, write_backbone

from codedose.analyse.shortcut import judge, shares_to_ask
from codedose.cells import ends
from codedose.errors import StudyError
from codedose.plan import Planner, settled, shortcut
from codedose.runner.disk import Disk
from codedose.runner.schedule import Slots, Teller, inline, run
from codedose.study import load, parse

LORA = {"rank": 2, "alpha": 4.0, "dropout": 0.0, "targets": ["q_proj", "down_proj"]}
ARMS = [
    {"name": name, "share": share, "repeat": None, "control": None}
    for name, share in (("General", 0.0), ("Half", 0.5), ("Code", 1.0))
]
CHANGES = {
    "tune.method": "lora",
    "tune.lora": LORA,
    "tune.max_length": 320,
    "tune.learning_rate": 5e-2,
    "tune.epochs": None,
    "tune.steps": 3,
    "mix.arms": ARMS,
    "prompt.template": "vicuna",
    "keep_checkpoints": True,
}


def said_so(**changes: object) -> str:
    return yaml.safe_dump(changed(SMALL, copy.deepcopy({**CHANGES, **changes})))


def written(folder: Path, **changes: object) -> Path:
    path = folder / "study.yaml"
    path.write_text(said_so(**changes))
    return path


def finished(path: Path) -> Planner:
    """The plan of a study, all of it run here."""
    planner, store = Planner(load(path), path.parent), path.parent / "store"
    for _ in range(2):  # the search for leaks, then all
        planner = settled(planner, Disk(store))
        steps = planner.search if planner.is_pending else planner.steps
        outcome = run(Disk(store), steps, slots=Slots(1), submit=inline, tell=Teller())
        assert [failure.reason for failure in outcome.failed] == []
    return planner


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of adapters."""
    folder = tmp_path_factory.mktemp("lora")
    write_backbone(folder / "tiny", FAMILIES[1], layers=2, hidden=32)
    finished(written(folder))
    return folder / "study.yaml"


# What is asked


def test_a_study_without_adapters_at_both_ends_is_told_what_to_change():
    def told(**changes: object) -> list[object]:
        return list(ends(parse(said_so(**changes), "s.yaml")))

    assert [(zero.name, one.name) for zero, one in told()] == [
        ("tiny/General/d0/s0", "tiny/Code/d0/s0"),
        ("tiny/General/d1/s0", "tiny/Code/d1/s0"),
    ]
    with pytest.raises(StudyError, match="method: lora"):
        told(**{"tune.method": "full", "tune.lora": None})
    with pytest.raises(StudyError, match="the shares 0 and 1, and 100 % is missing"):
        told(**{"mix.arms.2.share": 0.9})
    elsewhere = {"backbone": "tiny", "arm": "Code", "share": None, "draw": 0, "seed": 0, "checkpoint": "x"}
    with pytest.raises(StudyError, match="trained elsewhere; codedose interpolate"):
        told(joined=[elsewhere])


def test_every_quarter_and_the_trained_shares_are_asked_but_not_the_ends():
    assert shares_to_ask([0.0, 0.4, 1.0], []) == [0.25, 0.4, 0.5, 0.75]
    assert shares_to_ask([0.0, 0.5, 1.0], [0.1, 1.0]) == [0.1, 0.5]


def test_nothing_of_the_study_is_named_anew_by_the_shortcut(tmp_path: Path, backbone_folder: Path):
    planner = Planner(load(written(tmp_path)), tmp_path)
    steps = shortcut(planner, [0.25, 0.5])
    known = {step.key for step in planner.steps}
    new = [step for step in steps if step.key not in known]
    assert {step.kind for step in new} == {"interpolate", "generate", "score"}
    assert len([step for step in new if step.kind == "interpolate"]) == 4  # two shares in two draws
    places = {step.key: place for place, step in enumerate(steps)}
    assert all(places[need.key] < places[step.key] for step in steps for need in step.waits_for)


# How it is judged


def test_interpolated_cells_are_judged_by_trained_ones_with_the_noise_beside():
    shares = {"General": 0.0, "Half": 0.5, "Code": 1.0}
    trained = plant(shares=shares, draws=4, items=50, effect=0.3)
    half = trained.filter(pl.col("arm") == "Half")
    wrong = pl.col("item_id").is_in(["letters-0", "letters-1", "letters-2", "letters-3", "letters-4"])
    spoilt = half.with_columns(
        arm=pl.lit("interpolated 50 %"), outcome=pl.when(wrong).then(pl.lit("wrong")).otherwise("outcome")
    )
    found = judge(trained, spoilt, ends=("General", "Code"), reading="strict", confidence=0.95)
    place = {"of": "letters", "view": "task", "family": None, "backbone": None}
    lost = half.filter(wrong & (pl.col("outcome") == "right")).group_by("draw", "backbone").len().sort("draw")
    per_draw = lost.group_by("draw").agg(pl.col("len").mean()).sort("draw")["len"].to_numpy() / 50 * 100
    row = one(found.judged, **place)
    assert row["rms"] == pytest.approx(per_draw.mean())
    assert (row["largest"], row["at"], row["shares"]) == (pytest.approx(-per_draw.mean()), 0.5, 1)
    assert row["noise"] == pytest.approx(per_draw.std(ddof=1) / 2)
    right = pl.col("outcome") == "right"
    per_arm = {
        arm: trained.filter((pl.col("arm") == arm) & (pl.col("task") == "letters")).select(right.mean()).item() * 100
        for arm in shares
    }
    assert row["line_rms"] == pytest.approx(abs((per_arm["General"] + per_arm["Code"]) / 2 - per_arm["Half"]))
    assert one(found.judged, **{**place, "of": "rules"})["rms"] == pytest.approx(0, abs=1e-9)
    curve = found.curve.filter((pl.col("view") == "overall") & pl.col("backbone").is_null())
    assert curve["share"].to_list() == [0.0, 0.5, 1.0]
    assert (curve["low"] < curve["estimate"]).all()


def test_where_nothing_between_the_ends_was_trained_nothing_is_claimed():
    trained = plant(shares={"General": 0.0, "Code": 1.0}, items=20)
    made = trained.filter(pl.col("arm") == "Code").with_columns(arm=pl.lit("interpolated 25 %"), share=pl.lit(0.25))
    found = judge(trained, made, ends=("General", "Code"), reading="strict", confidence=0.95)
    assert found.judged["rms"].null_count() == found.judged.height
    assert "nothing to check" in found.notes[-1]
    assert found.curve["share"].unique().sort().to_list() == [0.0, 0.25, 1.0]


# The whole line


@pytest.mark.long
def test_a_finished_study_is_recommended_from_in_words_and_in_json(done: Path, codedose, tmp_path: Path):
    said = codedose("recommend", done)
    assert said.code == 0, said.err
    assert said.out.startswith("small, exploratory")
    assert "Which share looks best" in said.out
    told = codedose("recommend", done, "--candidate", 0.2, "--json").json
    assert told["exploratory"].startswith("exploratory")
    assert {row["share"] for row in told["predicted"]} == {0.2}
    assert all(row["hours"] > 0 for row in told["cells"])  # from the store's records
    scores = tmp_path / "scores.parquet"
    store = done.parent / "store"
    pl.concat([pl.read_parquet(file) for file in store.glob("score/*/scores.parquet")]).write_parquet(scores)
    alone = codedose("recommend", done, "--scores", scores, "--candidate", 0.2, "--json").json
    assert alone["best"] == told["best"]
    assert any("counted as one" in note for note in alone["notes"])


@pytest.mark.long
def test_of_a_partial_study_what_is_there_is_read_and_what_is_not_is_said(done: Path, codedose, tmp_path: Path):
    home = Path(shutil.copytree(done.parent, tmp_path / "partial"))
    for folder in (home / "store").glob("score/tiny-code-d1-*"):
        shutil.rmtree(folder)
    told = codedose("recommend", home / "study.yaml", "--json").json
    assert told["notes"][0] == "6 of 7 cells are scored so far"
    assert any(note.startswith("partial study, analysed: draw 0 of 0, 1") for note in told["notes"])
    assert told["cells"] == []  # one whole draw
    assert "is not done yet" in codedose("recommend", home / "study.yaml", "--shortcut").err


@pytest.mark.long
def test_the_shortcut_asks_what_is_between_once_and_says_how_well_it_did(done: Path, codedose):
    store = done.parent / "store"
    before = {file: file.stat().st_mtime_ns for file in store.glob("tune/*/record.json")}
    said = codedose("recommend", done, "--shortcut", "--at", 0.25, "--cores", 1, "--json")
    assert said.code == 0, said.err
    told = said.json["shortcut"]
    overall = [row for row in told["curve"] if row["view"] == "overall" and row["backbone"] is None]
    assert [row["share"] for row in overall] == [0.0, 0.25, 0.5, 1.0]
    assert all(row["shares"] == 1 for row in told["judged"])
    assert {file: file.stat().st_mtime_ns for file in store.glob("tune/*/record.json")} == before
    assert len(list(store.glob("interpolate/*/record.json"))) == 4
    assert not list(store.glob("interpolate/*/checkpoint"))  # freed, and made again in a moment
    records = {file: file.stat().st_mtime_ns for file in store.glob("*/*/record.json")}
    again = codedose("recommend", done, "--shortcut", "--at", 0.25, "--cores", 1)
    assert "every step is done already" in again.out
    assert "How well they told the trained shares" in again.out
    assert {file: file.stat().st_mtime_ns for file in store.glob("*/*/record.json")} == records
    assert codedose("gc", done, "--dry-run", "--json").json["folders"] == []


@pytest.mark.long
def test_at_the_ends_an_interpolated_adapter_replies_as_the_trained_one(done: Path):
    store = done.parent / "store"
    planner = settled(Planner(load(done), done.parent), Disk(store))
    steps = shortcut(planner, [0.0, 1.0])
    outcome = run(Disk(store), steps, slots=Slots(1), submit=inline, tell=Teller())
    assert outcome.failed == []

    def replies(of: str) -> pl.DataFrame:
        every = pl.concat([pl.read_parquet(file) for file in store.glob("generate/*/completions.parquet")])
        return every.filter(pl.col("cell") == of).sort("item_id").drop("cell")

    for arm, share in (("General", 0), ("Code", 100)):
        for draw in range(2):
            trained, made = (replies(f"tiny/{name}/d{draw}/s0") for name in (arm, f"interpolated {share} %"))
            assert trained.height == 4
            assert trained.equals(made)


@pytest.mark.long
def test_freed_adapters_are_one_sentence_whose_mend_works(tmp_path: Path, codedose):
    write_backbone(tmp_path / "tiny", FAMILIES[1], layers=1, hidden=32)
    path = written(tmp_path, keep_checkpoints=False)
    assert "no scores of it yet" in codedose("recommend", path).err
    finished(path)
    said = codedose("recommend", path, "--shortcut")
    sentence = said.err.splitlines()[-1]  # transformers has told of its progress before
    assert said.code == 2
    assert sentence.startswith(f"codedose: {path}: 4 of the 4 adapters at 0 % and 100 % were freed")
    assert "set keep_checkpoints: true, and the same command trains these again" in sentence
    written(tmp_path)
    store = tmp_path / "store"
    records = {file: file.stat().st_mtime_ns for file in store.glob("*/*/record.json")}
    trained = [file.parent for file in records if file.parent.parent.name == "tune"]
    ends = [folder for folder in trained if "half" not in folder.name]
    others = {file: when for file, when in records.items() if file.parent not in ends}
    told = codedose("recommend", path, "--shortcut", "--at", 0.5, "--cores", 1, "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out)["shortcut"]["judged"]
    assert len(ends) == 4
    assert all((folder / "checkpoint").is_dir() for folder in ends)
    assert {file: file.stat().st_mtime_ns for file in store.glob("*/*/record.json")}.items() >= others.items()


def test_scores_of_files_need_no_store_and_no_shortcut(tmp_path: Path, codedose):
    path = written(tmp_path, **{"analyse.reading": "strict"})
    plant(shares={"General": 0.0, "Half": 0.5, "Code": 1.0}, items=20).write_parquet(tmp_path / "scores.parquet")
    said = codedose("recommend", path, "--scores", tmp_path / "scores.parquet", "--json")
    assert said.code == 0, said.err
    assert {row["view"] for row in said.json["best"]} == {"overall", "domain", "task"}
    assert np.isfinite([row["gain_per_hour"] for row in said.json["cells"]]).all()
    assert codedose("recommend", path, "--scores", tmp_path / "scores.parquet", "--shortcut").code == 2
