"""Runs that are trained together are what each is alone, and what one has reached the other takes up."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from test_tune import LORA, SETTINGS, silent, some_examples
from tiny import FAMILIES, write_backbone

from codedose import tune
from codedose.backbone import load_model
from codedose.errors import MachineError, StudyError
from codedose.prompt import Encoded
from codedose.study import Tune
from codedose.tune import state, together, train
from codedose.tune.faster import faster
from codedose.tune.lora import adapted
from codedose.tune.together import Run, train_together

HOW = SETTINGS.model_copy(update={"method": "lora", "lora": LORA, "schedule": "cosine", "warmup": 0.1})
FEW = HOW.model_copy(update={"epochs": 2, "weight_decay": 0.1})


class Killed(BaseException):
    """As SIGKILL would: nothing of ours catches it."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("backbones")
    return {family.name: write_backbone(home / family.name, family, layers=2, hidden=32) for family in FAMILIES}


@pytest.fixture
def folder(folders: dict[str, Path]) -> Path:
    return folders["Llama-2"]


def some_runs(home: Path) -> list[Run]:
    """Two arms and two seeds, one arm with more examples; and one whose draw names its steps."""
    given = {"a": some_examples(16, seed=1), "b": some_examples(24, seed=2)}
    runs = [Run(f"{arm}{seed}", seed, given[arm], home / f"{arm}{seed}") for arm in given for seed in (0, 1)]
    return [*runs, Run("c0", 0, some_examples(9, seed=3), home / "c0", taken_in=[0, 2, 1, 0, 2, 3, 3, 3, 1])]


def alone(folder: Path, run: Run, how: Tune, kind: str = "float32", **more: Any) -> tuple[list[Any], dict[str, Any]]:
    """The rows of a run's own training, and its adapter."""
    model = load_model(folder, kind)
    adapted(model, how.lora, seed=run.seed, backbone="x")
    rows = train(
        model, run.examples, how, seed=run.seed, progress=silent, taken_in=run.taken_in, names=run.names, **more
    )
    return rows, {name: weights.detach() for name, weights in model.named_parameters() if weights.requires_grad}


@pytest.fixture(scope="module")
def by_itself() -> Callable[..., tuple[list[Any], dict[str, Any]]]:
    """What `alone` gives for one of `some_runs`: trained once for all tests that compare with it."""

    @cache
    def trained(folder: Path, name: str, how: str, kind: str) -> tuple[list[Any], dict[str, Any]]:
        run = next(run for run in some_runs(Path()) if run.name == name)
        return alone(folder, run, Tune.model_validate_json(how), kind)

    return lambda folder, run, how, kind="float32": trained(folder, run.name, how.model_dump_json(), kind)


def taken_up(folder: Path, run: Run, how: Tune, kind: str = "float32") -> tuple[list[Any], dict[str, Any]]:
    """What a run's own step finds in its folder when there is nothing left to do."""

    def never(done: int, of: int, note: str) -> None:
        raise AssertionError(f"step {done} was still to do")

    model = load_model(folder, kind)
    adapted(model, how.lora, seed=run.seed + 5, backbone="x")  # all that counts is what was kept
    rows = train(
        model, run.examples, how, seed=run.seed, progress=never, taken_in=run.taken_in, packed=True, kept=run.kept
    )
    return rows, {name: weights.detach() for name, weights in model.named_parameters() if weights.requires_grad}


def told(rows: list[dict[str, Any]], *names: str) -> list[Any]:
    return [row[name] for row in rows for name in names]


def assert_same(found: tuple[list[Any], dict[str, Any]], wanted: tuple[list[Any], dict[str, Any]], **near: Any) -> None:
    exact = ("step", "learning_rate", "tokens", "loss_tokens")
    assert told(found[0], *exact) == told(wanted[0], *exact)
    assert found[0][0].keys() == wanted[0][0].keys()
    assert told(found[0], "loss") == pytest.approx(told(wanted[0], "loss"), rel=1e-5)
    assert told(found[0], "grad_norm") == pytest.approx(told(wanted[0], "grad_norm"), rel=1e-3)
    assert found[1].keys() == wanted[1].keys()
    for name, weights in wanted[1].items():
        torch.testing.assert_close(found[1][name], weights, msg=lambda said, name=name: f"{name}: {said}", **near)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["token_mean", "example_mean"])
@pytest.mark.parametrize("family", ["Llama-2", "Qwen-1.5", "Gemma"])
def test_fifty_steps_of_every_run_are_those_of_the_run_alone(folders, tmp_path, family, kind):
    """Arms, seeds, lengths and ways of making steps together: losses agree to 1e-5, relative."""
    how = HOW.model_copy(update={"epochs": None, "steps": 50, "loss": kind, "weight_decay": 0.1})
    runs = some_runs(tmp_path)
    rows = train_together(load_model(folders[family], "float32"), runs, how, progress=silent)
    assert list(rows) == [run.name for run in runs]
    for run in runs:
        wanted = alone(folders[family], run, how)
        assert max(float(weights.abs().max()) for name, weights in wanted[1].items() if "lora_B" in name) > 0.01
        assert_same((rows[run.name], taken_up(folders[family], run, how)[1]), wanted, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("family", ["Llama-2", pytest.param("Qwen-1.5", marks=pytest.mark.long)])
@pytest.mark.parametrize("most", [1, 150, 10**6])
def test_in_float64_nothing_is_left_between_them_however_rows_are_filled(folders, tmp_path, by_itself, family, most):
    how = FEW.model_copy(update={"learning_rate": 1e-2, "clip": 0.5})
    model, runs = load_model(folders[family], "float64"), some_runs(tmp_path)
    rows = train_together(model, runs, how, progress=silent, micro_tokens=most)
    for run in runs:
        found = (rows[run.name], taken_up(folders[family], run, how, "float64")[1])
        assert_same(found, by_itself(folders[family], run, how, "float64"), rtol=1e-6, atol=1e-8)


def test_the_backbone_stays_plain_and_the_same_to_the_last_bit(folder, tmp_path):
    model = load_model(folder, "float32")
    tokens = torch.tensor([some_examples(1)[0].tokens])
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    logits = model(input_ids=tokens).logits
    faster(model, some_runs(tmp_path), FEW)
    train_together(model, some_runs(tmp_path), FEW, progress=silent)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(weights, before[name]) for name, weights in model.state_dict().items())
    assert torch.equal(model(input_ids=tokens).logits, logits)


def test_a_runs_own_training_takes_up_a_complete_state(folder, tmp_path):
    rows = train_together(load_model(folder, "float32"), some_runs(tmp_path), FEW, progress=silent)
    for run in some_runs(tmp_path):
        assert taken_up(folder, run, FEW)[0] == rows[run.name]


@pytest.mark.parametrize("killed_in", [1, *(pytest.param(step, marks=pytest.mark.long) for step in (4, 11)), 9])
def test_what_was_killed_goes_on_alone_or_together(folder, tmp_path, by_itself, killed_in):
    """Kept after every pass; runs `a` have 8 steps, `b` 12: the others are still under way when some are done."""

    def kill(done: int, of: int, note: str) -> None:
        if done == killed_in:
            raise Killed

    (tmp_path / "alone").mkdir()
    model = load_model(folder, "float32")
    with pytest.raises(Killed):
        train_together(model, some_runs(tmp_path / "alone"), FEW, progress=kill, kept_every=0.0)
    shutil.copytree(tmp_path / "alone", tmp_path / "together")
    rows = train_together(load_model(folder, "float32"), some_runs(tmp_path / "together"), FEW, progress=silent)
    near = {"rtol": 1e-2, "atol": 1e-4}
    for run, other in zip(some_runs(tmp_path / "alone"), some_runs(tmp_path / "together"), strict=True):
        wanted = by_itself(folder, run, FEW)
        run.kept.mkdir(parents=True, exist_ok=True)
        assert_same(alone(folder, run, FEW, kept=run.kept), wanted, **near)
        assert_same((rows[run.name], taken_up(folder, other, FEW)[1]), wanted, **near)


def test_runs_that_began_alone_go_on_together_each_from_where_it_was(folder, tmp_path, by_itself):
    def kill_in(last: int) -> Any:
        def kill(done: int, of: int, note: str) -> None:
            if done == last:
                raise Killed

        return kill

    runs = some_runs(tmp_path)
    for run, last in zip(runs, (1, 3, 12, 6, 2), strict=True):
        model = load_model(folder, "float32")
        adapted(model, LORA, seed=run.seed, backbone="x")
        more = {"taken_in": run.taken_in, "kept": run.kept, "kept_every": 0.0}
        run.kept.mkdir()
        with pytest.raises(Killed):
            train(model, run.examples, FEW, seed=run.seed, progress=kill_in(last), **more)
    rows = train_together(load_model(folder, "float32"), runs, FEW, progress=silent)
    for run in runs:
        found = (rows[run.name], taken_up(folder, run, FEW)[1])
        assert_same(found, by_itself(folder, run, FEW), rtol=1e-2, atol=1e-4)


def test_a_loss_that_is_not_a_number_names_its_run_and_leaves_the_others_as_they_are_alone(folder, tmp_path):
    """One example of one run holds a token whose embedding is none; nobody else has it."""
    token, runs = 7, some_runs(tmp_path)
    clean = [
        Run(
            run.name,
            run.seed,
            [Encoded(tuple(t + (t == token) for t in e.tokens), e.loss, "") for e in run.examples],
            run.kept,
            run.taken_in,
            [f"{run.name}-{slot}" for slot in range(len(run.examples))],
        )
        for run in runs
    ]
    bad = tune.planned(16, FEW, seed=1)[2][0]
    spoiled = list(clean[1].examples)
    spoiled[bad] = Encoded((token, *spoiled[bad].tokens), (False, *spoiled[bad].loss), "")
    given = [run if run.name != "a1" else Run("a1", 1, spoiled, run.kept, None, run.names) for run in clean]

    def spoilt() -> Any:
        model = load_model(folder, "float32")
        with torch.no_grad():
            model.get_input_embeddings().weight[token] = float("nan")
        return model

    with pytest.raises(MachineError, match=rf"^a1: the loss of step 3 is nan.*a1-{bad}\b"):
        train_together(spoilt(), given, FEW, progress=silent)
    for run in given:
        if run.name == "a1":
            continue
        assert_same(alone(folder, run, FEW, kept=run.kept), alone(folder, run, FEW), rtol=1e-2, atol=1e-4)
    model = spoilt()
    adapted(model, LORA, seed=1, backbone="x")
    seen: list[int] = []
    with pytest.raises(MachineError, match="step 3 is nan"):
        train(model, spoiled, FEW, seed=1, progress=lambda done, of, note: seen.append(done), kept=given[1].kept)
    assert seen == []  # the two steps before were kept


def test_out_of_memory_takes_less_at_once_and_changes_nothing(folder, tmp_path, monkeypatch):
    whole = together.weighted_losses

    def losses(model: Any, batch: Any, precision: str) -> Any:
        if batch.tokens.numel() > 65:
            raise torch.OutOfMemoryError("there is no more")
        return whole(model, batch, precision)

    wanted = train_together(load_model(folder, "float32"), some_runs(tmp_path / "whole"), FEW, progress=silent)
    monkeypatch.setattr(together, "weighted_losses", losses)
    with pytest.warns(UserWarning, match="out of memory with"):
        rows = train_together(load_model(folder, "float32"), some_runs(tmp_path / "less"), FEW, progress=silent)
    for name, each in rows.items():
        assert told(each, "loss") == pytest.approx(told(wanted[name], "loss"), rel=1e-5)
    assert faster(load_model(folder, "float32"), some_runs(tmp_path), FEW) == 0.0


def test_layers_computed_twice_change_nothing(folder, tmp_path, by_itself):
    model = load_model(folder, "float32")
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    rows = train_together(model, some_runs(tmp_path), FEW, progress=silent)
    for run in some_runs(tmp_path):
        assert told(rows[run.name], "loss") == pytest.approx(told(by_itself(folder, run, FEW)[0], "loss"), rel=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("precision", ["bfloat16_mixed", "bfloat16_pure"])
def test_in_bfloat16_they_are_near_each_other(folder, tmp_path, precision):
    how = FEW.model_copy(update={"precision": precision})
    model = load_model(folder, "bfloat16")
    rows = train_together(model, some_runs(tmp_path), how, progress=silent)
    for run in some_runs(tmp_path):
        model = load_model(folder, "bfloat16")
        adapted(model, LORA, seed=run.seed, backbone="x", pure=precision == "bfloat16_pure")
        own = train(model, run.examples, how, seed=run.seed, progress=silent, taken_in=run.taken_in)
        assert told(rows[run.name], "loss") == pytest.approx(told(own, "loss"), rel=2e-2)
        kept = state.take_up(run.kept, trained := dict(trainable(model)), tune.optimiser_of(trained, how))
        assert kept is not None
        assert kept.rows == rows[run.name]


def trainable(model: Any) -> list[tuple[str, Any]]:
    return [(name, weights) for name, weights in model.named_parameters() if weights.requires_grad]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"lora": LORA.model_copy(update={"dropout": 0.1})}, "dropout draws by the place in memory"),
        ({"method": "full", "lora": None}, "only adapters share a backbone"),
    ],
)
def test_what_cannot_go_together_is_refused_and_never_faster(folder, tmp_path, changes, reason):
    how = FEW.model_copy(update=changes)
    with pytest.raises(StudyError, match=reason):
        train_together(load_model(folder, "float32"), some_runs(tmp_path), how, progress=silent)
    assert faster(load_model(folder, "float32"), some_runs(tmp_path), how) == 0.0


def test_documents_that_cannot_stand_in_one_row_are_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(together, "packs", lambda *given: False)
    with pytest.raises(StudyError, match="cannot stand in one row; train them one after another"):
        train_together(load_model(folder, "float32"), some_runs(tmp_path), FEW, progress=silent)


def test_two_runs_of_one_name_are_refused(folder, tmp_path):
    with pytest.raises(StudyError, match="same name"):
        train_together(load_model(folder, "float32"), some_runs(tmp_path) * 2, FEW, progress=silent)


def test_trying_leaves_nothing_behind_and_gives_a_factor(folder, tmp_path):
    assert faster(load_model(folder, "float32"), some_runs(tmp_path), FEW) > 0
    assert not any(tmp_path.iterdir())
