"""Study -> steps: the counts of the design, keys that change with what decides a result, and with nothing else."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from conftest import SMALL, changed

from codedose import tables
from codedose.cells import cells
from codedose.cli.planned import describe, why
from codedose.errors import StudyError
from codedose.plan import Planner, failed_cells, settled
from codedose.runner.disk import Disk
from codedose.runner.perform import perform
from codedose.study import Study, load, parse

STUDIES = Path(__file__).parents[1] / "studies"
TASK = {"name": "svamp", "origin": "generated", "path": None, "level": 1, "count": 2, "max_new_tokens": 4}


def study(changes: dict | None = None) -> Study:
    return parse(yaml.safe_dump(changed(SMALL, changes or {})), "small.yaml")


@pytest.fixture
def planned(tmp_path, backbone_folder):
    """The plan of the small study with other values at dotted places."""

    def plan(changes: dict | None = None, **machine) -> Planner:
        return Planner(study(changes), tmp_path, **machine)

    return plan


@pytest.fixture
def keys(planned):
    """Step keys by kind, of the small study with other values."""

    def of(changes: dict | None = None, **machine) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for step in planned(changes, **machine).steps:
            found.setdefault(step.kind, set()).add(step.key)
        return found

    return of


def differing(one: dict[str, set[str]], other: dict[str, set[str]]) -> set[str]:
    """The kinds of steps of which some step of `one` is not in `other`."""
    return {kind for kind in one if not one[kind] <= other.get(kind, set())}


def count(planner: Planner) -> Counter:
    return Counter(step.kind for step in planner.steps)


# The shape of a plan


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_step_stands_once_after_its_needs_and_serves_the_report(path):
    steps = Planner(load(path), STUDIES).steps
    place = {step.key: number for number, step in enumerate(steps)}
    assert len(place) == len(steps) == len({step.folder for step in steps})
    assert all(place[need.key] < place[step.key] for step in steps for need in step.needs)
    assert all(set(step.consumes) <= set(step.needs) for step in steps)
    needed = {need.key for step in steps for need in step.needs}
    assert [step.kind for step in steps if step.key not in needed] == ["report"]


def test_the_reference_study_counts_as_the_design_says():
    """Six backbones, three arms and three draws; untuned ones asked too; twelve tasks."""
    assert count(Planner(load(STUDIES / "paper.yaml"), STUDIES)) == {
        "pool": 1,
        "leaks": 1,
        "exclude": 1,
        "label": 1,
        "mix": 3 * 3,
        "balance": 1,
        "lengths": 6,
        "held_out": 1,
        "loss": 6 * 3 * 3 + 6,
        "items": 12,
        "tune": 6 * 3 * 3,
        "generate": (6 * 3 * 3 + 6) * 12,
        "score": 6 * 3 * 3 + 6,
        "analyse": 1,
        "report": 1,
    }


@pytest.mark.parametrize(("draws", "seeds", "untuned"), [(1, 1, False), (2, 1, True), (3, 2, True)])
def test_the_counts_follow_from_the_study(planned, draws, seeds, untuned):
    other = {**SMALL["backbones"][0], "name": "other"}
    planner = planned(
        {"mix.draws": draws, "tune.seeds": seeds, "untuned": untuned, "backbones": [*SMALL["backbones"], other]}
    )
    runs = 2 * 2 * draws * seeds
    found = count(planner)
    assert (found["mix"], found["tune"]) == (2 * draws, runs)
    assert (found["score"], found["generate"]) == (runs + 2 * untuned, (runs + 2 * untuned) * 2)
    assert len({cell.name for cell in cells(planner.study)}) == found["score"]


def test_a_mix_is_made_once_and_shared_by_all_backbones_and_seeds(planned):
    other = {**SMALL["backbones"][0], "name": "other"}
    planner = planned({"backbones": [*SMALL["backbones"], other], "tune.seeds": 2})
    tunes = [step for step in planner.steps if step.kind == "tune"]
    used = Counter(need.key for tune in tunes for need in tune.needs)
    assert len(tunes) == 16
    assert sorted(used.values()) == [4, 4, 4, 4]
    assert set(used) == {step.key for step in planner.steps if step.kind == "mix"}


# What changes a key


def test_a_task_a_backbone_or_an_arm_more_leaves_what_is_done_as_it_is(keys):
    tasks, backbones, arms = SMALL["tasks"], SMALL["backbones"], SMALL["mix"]["arms"]
    before = keys()
    made = {"pool", "label", "mix", "tune", "generate", "items"}
    assert differing(before, keys({"tasks": [*tasks, TASK]})) & made == set()
    assert differing(before, keys({"tasks": [TASK, *tasks]})) & made == set()
    more = {"backbones": [{**backbones[0], "name": "a"}, *backbones]}
    assert differing(before, keys(more)) == {"analyse", "report"}
    arm = {"mix.arms": [{"name": "Half-half", "share": 0.5, "repeat": None, "control": None}, *arms]}
    assert differing(before, keys(arm)) == {"balance", "lengths", "analyse", "report"}
    assert differing(before, keys({"mix.draws": 3})) == {"balance", "lengths", "analyse", "report"}
    assert differing(before, keys({"tune.seeds": 2})) == {"analyse", "report"}


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({"tune.learning_rate": 2e-3}, {"tune", "loss", "generate", "score", "analyse", "report"}),
        ({"prompt.system": "Be brief."}, {"lengths", "tune", "loss", "generate", "score", "analyse", "report"}),
        ({"tune.shrinkage": 0.1}, {"lengths", "report"}),
        ({"generate.batch_tokens": 500}, {"generate", "score", "analyse", "report"}),
        ({"tasks.0.max_new_tokens": 5}, {"generate", "score", "analyse", "report"}),
        ({"tasks.0.count": 3}, {"items", "leaks", "balance", "generate", "score", "analyse", "report"}),
        ({"mix.budget": 12}, {"mix", "balance", "lengths", "tune", "loss", "generate", "score", "analyse", "report"}),
        ({"analyse.margin": 1.0}, {"analyse", "report"}),
        ({"question": "Does it?"}, {"report"}),
        (
            {"pool.clean.longest": 9},
            {"pool", "leaks", "label", "held_out", "mix", "balance", "lengths", "tune", "loss", "generate"}
            | {"score", "analyse", "report"},
        ),
    ],
    ids=lambda value: str(sorted(value)),
)
def test_a_change_runs_again_what_it_decides_and_nothing_else(keys, changes, kinds):
    assert differing(keys(), keys(changes)) == kinds


def test_what_decides_only_speed_or_space_changes_no_key(keys):
    before = keys()
    assert keys(cores=16) == before
    assert keys(cores=2, gpus=8) == before
    assert keys({"keep_checkpoints": True}) == before


def test_drawing_again_makes_other_arms_of_the_same_training(planned):
    usual = {"mix.tokenizer": "tiny"}
    one, other = planned(usual), planned({**usual, "tune.over_long": "redraw"})
    assert all(a.key != b.key for a, b in zip(one.draws.values(), other.draws.values(), strict=True))
    settings = [[step.settings for step in each.steps if step.kind == "tune"] for each in (one, other)]
    assert settings[0] == settings[1]


def test_nothing_is_trained_before_the_lengths_of_its_backbone_are_known(planned):
    for step in planned().steps:
        if step.kind == "tune":
            assert [each.kind for each in step.after] == ["lengths"]


def test_kept_checkpoints_do_not_perish(planned):
    def kept(keep: bool) -> set[bool]:
        return {step.kept for step in planned({"keep_checkpoints": keep}).steps if step.perishable}

    assert kept(True) == {True}
    assert kept(False) == {False}


def test_the_place_of_a_study_changes_no_key_and_the_bytes_of_its_files_do(planned, tmp_path):
    changes = {"pool.sources": [{"path": "data.jsonl", "revision": None, "licence": "mine"}]}

    def key(base: Path, text: str) -> str:
        base.mkdir(exist_ok=True)
        (base / "data.jsonl").write_text(text)
        return Planner(study(changes), base).pool.key

    assert key(tmp_path / "a", "one") == key(tmp_path / "b", "one")
    assert key(tmp_path / "a", "one") != key(tmp_path / "a", "two")


def test_a_folder_of_sources_is_known_by_the_bytes_of_its_files(tmp_path, backbone_folder):
    (tmp_path / "data").mkdir()
    changes = {"pool.sources": [{"path": "data", "revision": None, "licence": "mine"}]}
    found = []
    for name, text in (("a.jsonl", "one"), ("a.jsonl", "two"), ("b.jsonl", "one")):
        (tmp_path / "data" / name).write_text(text)
        found.append(Planner(study(changes), tmp_path).pool.key)
    assert len(set(found)) == 3
    assert Planner(study(changes), tmp_path).missing[0] == []


def test_other_weights_under_the_same_name_are_another_backbone(planned, backbone_folder):
    def tuned() -> set[str]:
        return {step.key for step in planned().steps if step.kind == "tune"}

    before = tuned()
    (backbone_folder / "model.safetensors").write_bytes(b"other weights")
    assert not tuned() & before


def test_the_larger_study_retrains_nothing_that_the_reference_study_trained():
    paper, scales = (
        {step.key for step in Planner(load(STUDIES / name), STUDIES).steps if step.kind in ("pool", "mix", "tune")}
        for name in ("paper.yaml", "paper-scales.yaml")
    )
    assert paper < scales


# What is missing


def test_missing_files_and_backbones_are_named(planned, tmp_path):
    files, backbones = planned(
        {
            "pool.sources.0.path": "gone.json",
            "tasks.1.origin": "official",
            "tasks.1.path": "away.jsonl",
            "backbones.0.model": "gone.gguf",
        }
    ).missing
    assert len(files) == 2
    assert str(tmp_path / "gone.json") in files[0]
    assert "gsm8k" in files[1]
    assert str(tmp_path / "away.jsonl") in files[1]
    assert len(backbones) == 1
    assert "gone.gguf" in backbones[0]
    assert planned().missing == ([], [])


def test_a_hub_backbone_that_is_not_here_is_told_with_the_way_to_fetch_it(planned):
    revision = "0123456789abcdef0123456789abcdef01234567"
    planner = planned({"backbones.0.model": "nobody/nothing", "backbones.0.revision": revision})
    (sentence,) = planner.missing[1]
    assert f"hf download nobody/nothing --revision {revision}" in sentence
    assert count(planner)["tune"] == 4  # a plan is possible all the same


@pytest.mark.parametrize(
    ("model", "why"),
    [*((model, "not a hub id") for model in ("no-such-folder", "a/b/c", "http://x/y")), ("a\0b", "no path has")],
)
def test_a_backbone_that_is_nowhere_and_no_hub_id_is_refused(planned, model, why):
    with pytest.raises(StudyError, match=why):
        count(planned({"backbones.0.model": model}))


def test_a_folder_that_is_no_backbone_is_told_with_what_it_lacks(planned):
    (sentence,) = planned({"backbones.0.model": "."}).missing[1]
    assert "config.json" in sentence


def test_an_unpinned_hub_backbone_is_refused(planned):
    for revision in (None, "main", "0123456"):
        with pytest.raises(StudyError, match="40-digit"):
            count(planned({"backbones.0.model": "owner/name", "backbones.0.revision": revision}))


def test_an_unknown_task_is_refused_with_the_nearest_one(planned):
    with pytest.raises(StudyError, match="did you mean 'coin_flip'"):
        count(planned({"tasks.0.name": "coin_flop"}))


def test_a_negative_control_has_no_share_in_the_scores_and_so_no_place_on_the_curve(planned):
    control = {"name": "A-A", "share": 1.0, "repeat": None, "control": "other_draw"}
    planner = planned({"mix.arms": [*SMALL["mix"]["arms"], control]})
    shares = {cell.arm.name: cell.columns["share"] for cell in cells(planner.study) if cell.arm}
    assert shares == {"General": 0.0, "Code": 1.0, "A-A": None}


# Excluded examples


def searched(root: Path, planner: Planner, *excluded: str) -> Planner:
    """The plan after a leak search that found these examples."""

    def search(inputs, out, *, progress, **settings) -> None:
        found = tables.EXCLUDED.frame([{"example_id": name} for name in excluded])
        tables.write(found, out / "excluded.parquet", tables.EXCLUDED)

    for step in planner.search:
        perform(Disk(root), replace(step, do=search), lambda *news: None)
    return settled(planner, Disk(root))


def arms(planner: Planner) -> set[str]:
    return {step.key for step in planner.steps if step.kind in ("mix", "tune")}


def test_until_the_leak_search_has_run_the_arms_are_pending(planned, tmp_path):
    root = tmp_path / "store"
    assert "leak search" in describe(planned(), Disk(root))["pending"]
    assert settled(planned(), Disk(root)).is_pending
    known = searched(root, planned(), "b", "a")
    assert not known.is_pending
    assert describe(known, Disk(root))["pending"] is None
    assert known.excluded == ("a", "b")
    assert not arms(known) & arms(planned())


def test_a_task_more_retrains_nothing_unless_a_leak_is_found(planned, tmp_path):
    root, more = tmp_path / "store", {"tasks": [*SMALL["tasks"], TASK]}
    before = searched(root, planned(), "a")
    clean, leaky = searched(root, planned(more), "a"), searched(tmp_path / "other", planned(more), "a", "b")
    assert before.leaks.key != clean.leaks.key
    assert arms(before) == arms(clean)
    assert not arms(before) & arms(leaky)


def test_kept_leaks_are_searched_for_and_leave_nothing_pending(planned, tmp_path):
    keeping = planned({"pool.leaks": "keep"})
    assert not keeping.is_pending
    assert keeping.leaks in keeping.steps
    assert keeping.exclude.given["excluded"] == ()


# Failed cells


def test_a_failed_training_takes_its_cell_and_no_other_out_of_the_report(planned):
    planner = planned()
    tune = next(step for step in planner.steps if step.kind == "tune")
    lost = failed_cells([tune])
    assert lost == {tune.settings["cell"]}
    partial = replace(planner, without=lost)
    whole, left = count(planner), count(partial)
    assert whole - left == {"tune": 1, "loss": 1, "generate": 2, "score": 1}
    assert {s.key for s in partial.steps} - {s.key for s in planner.steps} == {s.key for s in partial.steps[-2:]}
    assert partial.steps[-1].settings["missing"] == sorted(lost)


def test_a_loss_that_cannot_be_measured_leaves_the_cell_and_its_answers_in_the_report(planned):
    planner = planned()
    loss = next(step for step in planner.steps if step.kind == "loss")
    assert failed_cells([loss]) == frozenset()
    partial = replace(planner, unmeasured=failed_cells([loss], ("loss",)))
    assert count(planner) - count(partial) == {"loss": 1}
    assert {s.key for s in partial.steps} - {s.key for s in planner.steps} == {partial.steps[-1].key}
    assert partial.steps[-1].settings["missing"] == []


def test_held_out_examples_hang_on_the_pool_alone_and_zero_leaves_them_and_the_losses_out(planned):
    planner, bare = planned(), planned({"mix.held_out": 0})
    assert count(planner) - count(bare) == {"held_out": 1, "loss": count(planner)["score"]}
    more = planned({"mix.budget": 12, "mix.draws": 3, "tune.learning_rate": 2e-3})
    assert planner.held_out[0].key == more.held_out[0].key


# Why a step would run


def finish(root: Path, planner: Planner) -> None:
    """Every step of a plan done in a moment, with the record of the real one."""
    for step in searched(root, planner).steps:
        perform(Disk(root), replace(step, do=nothing), lambda *news: None)


def nothing(inputs, out, *, progress, **settings) -> None:
    (out / "checkpoint").mkdir()


def reasons(planner: Planner, root: Path) -> dict[str, set[str]]:
    """Why steps would run, by kind."""
    found: dict[str, set[str]] = {}
    for entry in describe(settled(planner, Disk(root)), Disk(root))["why"]:
        found.setdefault(entry["step"].split("/")[0], set()).add(entry["why"])
    return found


def test_a_fresh_plan_says_that_nothing_is_done(planned, tmp_path):
    found = reasons(planned(), tmp_path / "store")
    assert set(found) == set(count(planned()))
    assert {reason for told in found.values() for reason in told} == {"not done yet"}


def test_a_finished_plan_runs_nothing(planned, tmp_path):
    finish(tmp_path / "store", planned())
    assert reasons(planned(), tmp_path / "store") == {}


def test_why_names_the_setting_that_changed(planned, tmp_path):
    root = tmp_path / "store"
    finish(root, planned())
    found = reasons(planned({"tune.learning_rate": 2e-3}), root)
    assert set(found) == {"tune", "loss", "generate", "score", "analyse", "report"}
    assert all("settings.how.learning_rate" in reason for reason in found["tune"])
    assert all("what it needs" in reason for reason in found["score"])


def test_why_names_the_file_that_changed(planned, tmp_path, backbone_folder):
    root = tmp_path / "store"
    finish(root, planned())
    (backbone_folder / "model.safetensors").write_bytes(b"other weights")
    assert all("model.safetensors" in reason for reason in reasons(planned(), root)["tune"])


def test_why_names_a_new_version_of_the_code(planned, tmp_path):
    root, planner = tmp_path / "store", planned()
    finish(root, planner)
    before = [planner.pool.folder]
    assert "version" in why(Disk(root), replace(planner.pool, version=99), before, done=())


def test_why_says_that_a_freed_checkpoint_is_needed_again(planned, tmp_path):
    root = tmp_path / "store"
    finish(root, planned())
    planner = settled(planned(), Disk(root))
    for step in planner.steps:
        Disk(root).release(step)
    assert reasons(planner, root) == {}
    more = planned({"tasks": [*SMALL["tasks"], TASK]})
    assert "tune" in reasons(more, root)  # pending: nobody knows yet that the arms are the same
    found = reasons(searched(root, more), root)
    assert all(re.search("checkpoint was freed", reason) for reason in found["tune"])
    assert found["generate"] == {"not done yet"}


def test_a_step_that_was_lost_and_is_not_needed_is_not_planned(planned, tmp_path):
    root, planner = tmp_path / "store", planned()
    finish(root, planner)
    Disk(root).delete(planner.pool.folder)
    assert reasons(planner, root) == {}
