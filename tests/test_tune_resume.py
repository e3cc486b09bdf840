"""A training that is killed goes on to the same weights; one that runs out of memory takes less at once."""

import warnings
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
from codedose.errors import MachineError
from codedose.study import Tune
from codedose.tune import train
from codedose.tune.lora import adapted


class Killed(BaseException):
    """As SIGKILL would: nothing of ours catches it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    family = next(family for family in FAMILIES if family.name == "Llama-2")
    return write_backbone(tmp_path_factory.mktemp("backbones") / "tiny", family, layers=2, hidden=32)


def fresh(folder: Path, how: Tune) -> Any:
    model = load_model(folder, "bfloat16" if how.precision == "bfloat16_pure" else "float32")
    if how.lora:
        adapted(model, how.lora, seed=1, backbone="x")
    return model


def told(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a log says but for time and memory."""
    return [{name: value for name, value in row.items() if name not in ("seconds", "memory")} for row in rows]


HOW = SETTINGS.model_copy(update={"epochs": 2, "schedule": "cosine", "warmup": 0.25, "weight_decay": 0.1})
LORA_HOW = HOW.model_copy(update={"method": "lora", "lora": LORA.model_copy(update={"dropout": 0.3})})


@pytest.fixture(scope="module")
def undisturbed(folder) -> Callable[[Tune], tuple[Any, list[dict[str, Any]]]]:
    """A whole training of each kind and its rows, done once."""

    @cache
    def trained(said: str) -> tuple[Any, list[dict[str, Any]]]:
        how = Tune.model_validate_json(said)
        model = fresh(folder, how)
        return model, train(model, some_examples(16), how, seed=1, progress=silent)

    return lambda how: trained(how.model_dump_json())


@pytest.mark.parametrize(
    "how", [HOW, LORA_HOW, HOW.model_copy(update={"precision": "bfloat16_pure"})], ids=["full", "lora", "pure"]
)
@pytest.mark.parametrize("killed_in", range(1, 8))
def test_killed_at_any_step_the_trace_and_the_weights_are_the_same_to_the_last_bit(
    folder, undisturbed, tmp_path, how, killed_in
):
    examples = some_examples(16)
    whole, wanted = undisturbed(how)

    def kill(done: int, of: int, note: str) -> None:
        if done == killed_in:
            raise Killed

    kept = {"kept": tmp_path, "kept_every": 0.0}
    with pytest.raises(Killed):
        train(fresh(folder, how), examples, how, seed=1, progress=kill, **kept)
    model, seen = fresh(folder, how), []
    rows = train(model, examples, how, seed=1, progress=lambda done, of, note: seen.append(done), **kept)
    assert seen[0] == killed_in  # the step after which it was killed was not kept yet
    assert told(rows) == told(wanted)
    assert all(torch.equal(weights, whole.state_dict()[name]) for name, weights in model.state_dict().items())


def test_a_state_is_kept_by_time(folder, tmp_path, monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr(tune.time, "monotonic", lambda: next(clock))
    kept = []
    monkeypatch.setattr(tune.state, "keep", lambda folder, reached, *rest: kept.append(len(reached.rows)))
    train(fresh(folder, HOW), some_examples(16), HOW, seed=1, progress=silent, kept=tmp_path, kept_every=7.0)
    assert kept == [3, 6]  # three looks at the clock a step


def too_little(most: int) -> Any:
    """A memory that holds `most` tokens at once, unless layers are computed twice."""
    whole = tune.weighted_loss

    def loss(model: Any, batch: Any, precision: str) -> Any:
        if batch.tokens.numel() > most and not model.is_activation_checkpointing:
            raise torch.OutOfMemoryError("there is no more")
        return whole(model, batch, precision)

    return loss


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("most", [65, 10])  # halves suffice; not even one example alone does
def test_out_of_memory_takes_less_at_once_and_changes_no_loss(folder, monkeypatch, packed, most):
    examples = some_examples(8)
    wanted = train(fresh(folder, HOW), examples, HOW, seed=1, progress=silent, packed=packed)
    monkeypatch.setattr(tune, "weighted_loss", too_little(most))
    with pytest.warns(UserWarning, match="out of memory with"):
        rows = train(fresh(folder, HOW), examples, HOW, seed=1, progress=silent, packed=packed)
    assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in wanted], rel=1e-5)


def test_when_nothing_helps_the_way_out_is_told(folder, monkeypatch):
    def never(*given: Any) -> Any:
        raise MemoryError("there is none")

    monkeypatch.setattr(tune, "weighted_loss", never)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(MachineError, match=r"one example of \d+ tokens .* lower tune.max_length, choose"):
            train(fresh(folder, HOW), some_examples(8), HOW, seed=1, progress=silent, packed=True)


def test_a_step_whose_loss_is_not_a_number_leaves_no_trace_in_the_weights(folder):
    how = HOW.model_copy(update={"learning_rate": 1e30, "schedule": "constant", "warmup": 0.0})
    model = fresh(folder, how)
    with pytest.raises(MachineError, match=r"loss of step \d+ is (nan|inf)"):
        train(model, some_examples(16), how, seed=1, progress=silent)


def test_pure_bfloat16_rounds_small_updates_away(folder):
    """Why it is offered by name only: at a usual learning rate most weights do not move at all."""
    shares = {}
    for precision in ("bfloat16_mixed", "bfloat16_pure"):
        how = HOW.model_copy(update={"precision": precision, "learning_rate": 1e-5, "weight_decay": 0.0})
        model = fresh(folder, how)
        before = {name: weights.clone() for name, weights in model.named_parameters() if weights.ndim == 2}
        train(model, some_examples(16), how, seed=1, progress=silent)
        after = dict(model.named_parameters())
        stayed = sum(int((after[name] == weights).sum()) for name, weights in before.items())
        shares[precision] = stayed / sum(weights.numel() for weights in before.values())
    assert shares["bfloat16_pure"] > 0.5 + shares["bfloat16_mixed"]
