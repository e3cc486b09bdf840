"""Tuning computes what a plain transformers forward computes, the same way every time, whatever the layout."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import FAMILIES, Family, write_backbone

from codedose.backbone import load_model
from codedose.errors import DataError, MachineError
from codedose.prompt import Encoded
from codedose.study import Lora, Tune
from codedose.tune import gradients, train
from codedose.tune.attend import within_documents
from codedose.tune.layout import laid_out, micro_batches
from codedose.tune.loss import packs
from codedose.tune.order import planned, schedule

SETTINGS = Tune(
    method="full",
    lora=None,
    seeds=1,
    epochs=1,
    steps=None,
    step_size=4,
    max_length=64,
    over_long="cut",
    shrinkage=1.0,
    optimiser="adamw",
    learning_rate=1e-3,
    schedule="constant",
    warmup=0.0,
    weight_decay=0.0,
    betas=(0.9, 0.999),
    clip=1.0,
    loss="token_mean",
    precision="float32",
)

LORA = Lora(rank=4, alpha=8.0, dropout=0.0, targets="all_linear")


def settings(**changes: Any) -> Tune:
    return SETTINGS.model_copy(update=changes)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("backbones")
    return {family.name: write_backbone(home / family.name, family, layers=2, hidden=32) for family in FAMILIES}


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    family: Family = request.param
    return folders[family.name]


def some_examples(count: int, seed: int = 0) -> list[Encoded]:
    """Examples of different lengths (some longer than Mistral's window), each with loss in places."""
    rng = np.random.default_rng(seed)
    found = []
    for length in rng.integers(4, 60, size=count):
        loss = rng.random(length) < 0.4
        loss[-1] = True
        tokens = rng.integers(0, 600, size=length)
        found.append(Encoded(tuple(tokens.tolist()), tuple(bool(bears) for bears in loss), ""))
    return found


def silent(done: int, of: int, note: str) -> None:
    """Nobody watches."""


def plain_loss(model: Any, examples: list[Encoded]) -> Any:
    """What transformers itself says: padded rows with an attention mask, labels of -100 where no loss is borne."""
    width = max(len(example.tokens) for example in examples)
    tokens = torch.zeros(len(examples), width, dtype=torch.long)
    mask, labels = torch.zeros_like(tokens), torch.full_like(tokens, -100)
    for row, example in enumerate(examples):
        end = len(example.tokens)
        tokens[row, :end] = torch.tensor(example.tokens)
        mask[row, :end] = 1
        labels[row, :end] = torch.where(torch.tensor(example.loss), tokens[row, :end], -100)
    return model(input_ids=tokens, attention_mask=mask, labels=labels).loss


def gradients_of(model: Any) -> dict[str, torch.Tensor]:
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def assert_same_gradients(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5, msg=lambda said, name=name: name + said)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", ["token_mean", "example_mean"])
def test_loss_and_gradients_are_those_of_a_plain_forward(folder, kind, packed):
    batch = some_examples(6)
    model = load_model(folder, "float32")
    wanted = (
        plain_loss(model, batch)
        if kind == "token_mean"
        else torch.stack([plain_loss(model, [example]) for example in batch]).mean()
    )
    wanted.backward()
    plain = gradients_of(model)
    model.zero_grad()
    with within_documents(model, packed=packed):
        assert gradients(model, batch, settings(loss=kind), packed=packed) == pytest.approx(wanted.item(), abs=1e-5)
    assert_same_gradients(gradients_of(model), plain)


def test_every_family_can_be_packed(folder):
    model = load_model(folder, "float32")
    before = model.config._attn_implementation
    assert packs(model, some_examples(3), SETTINGS)
    assert model.config._attn_implementation == before


def test_documents_in_one_row_never_see_each_other(folder):
    """One document is changed; what the model makes of the others stays the same to the last bit."""
    model = load_model(folder, "float32").eval()
    examples = some_examples(4)
    changed = [*examples]
    changed[1] = Encoded(tuple((token + 7) % 600 for token in examples[1].tokens), examples[1].loss, "")
    told = []
    for batch in (examples, changed):
        laid = laid_out(batch, [1.0] * 4, packed=True, device="cpu")
        with within_documents(model, packed=True), torch.no_grad():
            states = model.get_decoder()(
                input_ids=laid.tokens, position_ids=laid.positions, documents=laid.documents, use_cache=False
            ).last_hidden_state
        told.append(states.split(list(laid.lengths), dim=1))
    for place, (before, after) in enumerate(zip(*told, strict=True)):
        assert torch.equal(before, after) == (place != 1)


LAYOUTS = {"one by one": (False, 1), "padded": (False, 150), "packed": (True, 150), "packed at once": (True, 10**6)}


@pytest.mark.long
@pytest.mark.parametrize("kind", ["token_mean", "example_mean"])
def test_fifty_steps_lose_the_same_in_every_layout(folder, kind):
    """Packing, padding and one by one: the trajectory agrees to 1e-5, relative."""
    found = {}
    for name, (packed, most) in LAYOUTS.items():
        model = load_model(folder, "float32")
        how = settings(epochs=None, steps=50, loss=kind, weight_decay=0.1, schedule="cosine", learning_rate=2e-4)
        rows = train(model, some_examples(16), how, seed=0, progress=silent, packed=packed, micro_tokens=most)
        found[name] = [row["loss"] for row in rows]
    assert found["one by one"][0] != pytest.approx(found["one by one"][-1], rel=0.01)  # it does learn
    for name in LAYOUTS:
        assert found[name] == pytest.approx(found["one by one"], rel=1e-5), name


@pytest.mark.parametrize("packed", [True, False])
def test_micro_batches_hold_everyone_once_and_stay_small(packed):
    lengths = [700, 3, 400, 400, 2000, 5]
    found = list(micro_batches(lengths, 1024, packed=packed))
    assert sorted(place for places in found for place in places) == list(range(len(lengths)))
    for places in found:
        size = sum(lengths[p] for p in places) if packed else max(lengths[p] for p in places) * len(places)
        assert len(places) == 1 or size <= 1024
    assert len(found) == (3 if packed else 4)


def test_two_runs_are_equal_to_the_last_bit(folder):
    how = settings(epochs=2, schedule="cosine", warmup=0.5)
    models = [load_model(folder, "float32") for _ in range(2)]
    rows = [train(model, some_examples(8), how, seed=1, progress=silent) for model in models]
    same = {"seconds": 0, "memory": 0}
    assert [row | same for row in rows[0]] == [row | same for row in rows[1]]
    first, second = (model.state_dict() for model in models)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_training_is_adamw_written_out_by_hand(folders):
    """AdamW (Loshchilov & Hutter 2019) with clipped gradients; vectors do not decay.

    In float64, since Adam makes a step of any sign of a gradient that is all rounding.
    """
    how = settings(weight_decay=0.1, clip=0.5, schedule="linear", warmup=0.25, betas=(0.8, 0.95), learning_rate=5e-3)
    examples = some_examples(16)
    model, plain = (load_model(folders["Qwen-1.5"], "float64") for _ in range(2))
    rows = train(model, examples, how, seed=3, progress=silent)
    first = {name: torch.zeros_like(p) for name, p in plain.named_parameters()}
    second = {name: torch.zeros_like(p) for name, p in plain.named_parameters()}
    for number, (slots, row) in enumerate(zip(planned(16, how, seed=3), rows, strict=True), 1):
        plain.zero_grad()
        loss = plain_loss(plain, [examples[slot] for slot in slots])
        loss.backward()
        norm = torch.stack([p.grad.norm() for p in plain.parameters()]).norm()
        rate = 5e-3 * [1, 1, 2 / 3, 1 / 3][number - 1]
        assert (row["loss"], row["grad_norm"], row["learning_rate"]) == pytest.approx(
            (loss.item(), norm.item(), rate), rel=1e-4
        )
        with torch.no_grad():
            for name, p in plain.named_parameters():
                gradient = p.grad * min(1.0, 0.5 / (norm + 1e-6))
                first[name] = 0.8 * first[name] + 0.2 * gradient
                second[name] = 0.95 * second[name] + 0.05 * gradient**2
                p *= 1 - rate * (0.1 if p.ndim > 1 else 0)
                step = first[name] / (1 - 0.8**number)
                p -= rate * step / ((second[name] / (1 - 0.95**number)).sqrt() + 1e-8)
    wanted = plain.state_dict()
    moved = load_model(folders["Qwen-1.5"], "float64").state_dict()
    for name, weights in model.state_dict().items():
        if "k_proj.bias" not in name:  # softmax takes no notice of it: its gradient is rounding even so
            torch.testing.assert_close(weights, wanted[name], rtol=1e-3, atol=1e-4)
            assert not torch.equal(weights, moved[name])


def test_rows_count_steps_and_tokens(folders):
    examples = some_examples(8)
    model = load_model(folders["Llama-2"], "float32")
    told = []
    rows = train(model, examples, settings(epochs=2), seed=0, progress=lambda *said: told.append(said[:2]))
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sum(row["tokens"] for row in rows) == 2 * sum(len(example.tokens) for example in examples)
    assert sum(row["loss_tokens"] for row in rows) == 2 * sum(sum(example.loss[1:]) for example in examples)


def test_every_epoch_visits_every_slot_once_in_an_order_of_its_own():
    how = settings(epochs=3, step_size=4)
    steps = planned(16, how, seed=0)
    epochs = [[slot for step in steps[start : start + 4] for slot in step] for start in (0, 4, 8)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(16))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert planned(16, how, seed=0) == steps
    assert planned(16, how, seed=1) != steps


def test_a_number_of_steps_ends_within_an_epoch_or_after_many():
    epochs = planned(16, settings(epochs=3), seed=0)
    for count in (1, 4, 6, 12):
        assert planned(16, settings(epochs=None, steps=count), seed=0) == epochs[:count]


def test_steps_that_the_draw_names_are_taken_whole_once_an_epoch_in_an_order_of_its_own():
    how = settings(epochs=3)
    taken_in = [0, 2, 1, 0, 2, 3, 3, 3, 1]
    steps = planned(9, how, seed=0, taken_in=taken_in)
    whole = [[0, 3], [1, 4], [2, 8], [5, 6, 7]]
    epochs = [steps[start : start + 4] for start in (0, 4, 8)]
    assert [sorted(epoch) for epoch in epochs] == [whole] * 3
    assert len({str(epoch) for epoch in epochs}) > 1
    assert planned(9, how, seed=0, taken_in=taken_in) == steps


def test_the_order_of_a_seed_stays_what_it_was():
    assert planned(8, SETTINGS, seed=0) == [[6, 2, 3, 1], [4, 5, 7, 0]]


def test_examples_that_do_not_fill_a_step_are_refused():
    with pytest.raises(DataError, match="10 examples do not fill steps of 4"):
        planned(10, SETTINGS, seed=0)


@pytest.mark.parametrize(
    ("kind", "warmup", "factors"),
    [
        ("constant", 0.0, [1, 1, 1, 1, 1]),
        ("constant", 0.4, [0.5, 1, 1, 1, 1]),
        ("linear", 0.0, [1, 0.8, 0.6, 0.4, 0.2]),
        ("linear", 0.2, [1, 1, 0.75, 0.5, 0.25]),
        ("cosine", 0.2, [1, 1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]),
        ("cosine", 1.0, [0.2, 0.4, 0.6, 0.8, 1]),
    ],
)
def test_schedules(kind, warmup, factors):
    how = settings(schedule=kind, warmup=warmup)
    assert [schedule(step, 5, how) for step in range(1, 6)] == pytest.approx(factors)


def test_a_model_learns_what_it_is_shown(folder):
    model = load_model(folder, "float32")
    rows = train(model, some_examples(4), settings(epochs=40, learning_rate=1e-2), seed=0, progress=silent)
    assert rows[-1]["loss"] < 0.2 < 3 < rows[0]["loss"]


def test_a_loss_that_is_not_a_number_is_refused_with_its_step_and_slots(folders):
    model = load_model(folders["Llama-1"], "float32")
    examples = some_examples(8)
    bad = planned(8, SETTINGS, seed=0)[1][2]
    token = 7
    examples = [
        Encoded(tuple(token + 1 if t == token else t for t in e.tokens), e.loss, "") for e in examples
    ]  # nobody has it but
    examples[bad] = Encoded((token, *examples[bad].tokens), (False, *examples[bad].loss), "")
    with torch.no_grad():
        model.get_input_embeddings().weight[token] = float("nan")
    slots = planned(8, SETTINGS, seed=0)[1]
    names = [f"example-{slot}" for slot in range(8)]
    with pytest.raises(MachineError) as problem:
        train(model, examples, SETTINGS, seed=0, progress=silent, names=names)
    assert "step 2 is nan" in str(problem.value)
    assert ", ".join(names[slot] for slot in slots) in str(problem.value)


def test_bfloat16_mixed_computes_in_bfloat16_and_keeps_weights_in_float32(folders):
    model = load_model(folders["Llama-2"], "float32")
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    exact = gradients(model, some_examples(4), SETTINGS, packed=False)
    model.zero_grad()
    mixed = gradients(model, some_examples(4), settings(precision="bfloat16_mixed"), packed=False)
    assert mixed != exact
    assert mixed == pytest.approx(exact, rel=0.02)
    how = settings(precision="bfloat16_mixed", learning_rate=1e-6)
    train(model, some_examples(4), how, seed=0, progress=silent)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    # Steps this small would be lost if weights were rounded to bfloat16.
    moved = [not torch.equal(weights, before[name]) for name, weights in model.state_dict().items()]
    assert all(moved)
