"""Examples that no arm trains on, and the loss on them before and after: whether the treatment took."""

import math
from functools import partial

import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_tune import SETTINGS, silent
from tiny import FAMILIES, write_backbone

from codedose.backbone import load_model, load_tokenizer
from codedose.errors import DataError, MachineError
from codedose.held_out import measure, set_aside
from codedose.mix import draw
from codedose.prompt import encode
from codedose.study import Arm
from codedose.tables import HELD_OUT, LABELS, MESSAGES
from codedose.tune import train
from codedose.tune.attend import within_documents
from codedose.tune.layout import laid_out, weights_of
from codedose.tune.loss import weighted_loss

CODE = "def add(a, b): return a + b"
PROSE = "The river is long and wide in spring"


def pool(sizes: dict[str, int], salt: str = "") -> pl.DataFrame:
    rows = [
        {
            "example_id": f"{label}-{n}{salt}",
            "label": label,
            "messages": [
                {"role": "user", "content": f"Number {n}"},
                {"role": "assistant", "content": CODE if label == "coding" else PROSE},
            ],
        }
        for label, size in sizes.items()
        for n in range(size)
    ]
    return pl.DataFrame(rows, schema_overrides={"messages": MESSAGES})


SIZES = st.fixed_dictionaries({label: st.integers(4, 30) for label in LABELS})


@given(SIZES, st.integers(0, 4), st.randoms(use_true_random=False))
def test_as_many_of_each_label_whatever_the_order_of_the_pool(sizes, count, random):
    labelled = pool(sizes)
    kept, notes = set_aside(labelled, count, needed=LABELS)
    assert kept.group_by("label").len().sort("label").rows() == [(label, count) for label in sorted(LABELS) if count]
    assert notes == ()
    order = list(range(labelled.height))
    random.shuffle(order)
    assert set_aside(labelled[order], count, needed=LABELS)[0].equals(kept)


@given(SIZES, st.integers(1, 4))
def test_an_example_more_in_the_pool_moves_at_most_one_of_those_set_aside(sizes, count):
    labelled = pool(sizes)
    kept = set(set_aside(labelled, count, needed=LABELS)[0]["example_id"])
    more = pl.concat([labelled, pool({"coding": 1}, salt="-new")])
    assert len(kept - set(set_aside(more, count, needed=LABELS)[0]["example_id"])) <= 1


@given(st.integers(1, 4), st.integers(0, 9), st.floats(0, 1))
def test_no_arm_and_no_draw_trains_on_what_was_set_aside(count, number, share):
    labelled = pool(dict.fromkeys(LABELS, 16))
    kept, _ = set_aside(labelled, count, needed=LABELS)
    left = labelled.join(kept, on="example_id", how="anti")
    arms = [Arm(name=name, share=value, repeat=None, control=None) for name, value in (("A", 0.0), ("B", share))]
    drawn = draw(
        left, arms=arms, match_on="examples", design="fixed", budget=12, math=4, stratify=(), step_size=4,
        draw=number, count=None,
    )  # fmt: skip
    assert set(drawn.draws["example_id"]).isdisjoint(kept["example_id"])


def test_a_label_with_too_few_is_refused_with_what_is_missing_and_one_that_no_arm_needs_is_told():
    labelled = pool({"coding": 2, "math": 1, "other": 9})
    with pytest.raises(DataError, match=r"mix.held_out wants 3 coding, the pool has 2: 1 too few.*lower it"):
        set_aside(labelled, 3, needed=("coding", "other"))
    kept, notes = set_aside(labelled, 2, needed=("coding", "other"))
    assert kept.height == 5
    assert notes == ("the loss on math text is measured on 1 examples, not 2: the pool has no more",)


# The loss


@pytest.fixture(scope="module", params=["Llama-2", "Gemma", "Qwen-1.5"])
def folder(request, tmp_path_factory):
    family = next(family for family in FAMILIES if family.name == request.param)
    return write_backbone(tmp_path_factory.mktemp("held-out") / "tiny", family, layers=2, hidden=32)


def reading(folder, max_length=300):
    how = {"template": "vicuna", "system": None, "max_length": max_length}
    return partial(encode, tokenizer=load_tokenizer(folder), **how)


def test_the_loss_is_what_transformers_says(folder):
    model, encoding = load_model(folder, "float32"), reading(folder)
    held_out = pool({"coding": 2, "other": 3})
    found = {row["label"]: row for row in measure(model, held_out, encoding, silent)}
    for label, size in (("coding", 2), ("other", 3)):
        sums = tokens = 0
        for messages in held_out.filter(pl.col("label") == label)["messages"]:
            example = encoding(messages)
            ids, loss = torch.tensor([example.tokens]), torch.tensor([example.loss])
            with torch.no_grad():
                sums += float(model(input_ids=ids, labels=ids.where(loss, -100)).loss) * example.loss_tokens
            tokens += example.loss_tokens
        assert found[label]["loss"] == pytest.approx(sums / tokens, rel=1e-5)
        assert (found[label]["tokens"], found[label]["examples"]) == (tokens, size)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("packed", [True, False])
def test_the_loss_is_that_of_training_in_every_layout(family, packed, tmp_path):
    """What `weighted_loss` gives for all examples of a label in one micro-batch, whatever stands beside each."""
    model = load_model(write_backbone(tmp_path / "tiny", family, layers=2, hidden=32), "float32")
    encoding = reading(tmp_path / "tiny")
    held_out = pool({"coding": 3, "other": 4})
    for row in measure(model, held_out, encoding, silent):
        told = held_out.filter(pl.col("label") == row["label"])["messages"]
        examples = [encoding(messages) for messages in told]
        weights = weights_of(examples, "token_mean")
        with torch.no_grad(), within_documents(model, packed=packed):
            batch = laid_out(examples, weights, packed=packed, device=model.device)
            assert row["loss"] == pytest.approx(float(weighted_loss(model, batch, "float32")), rel=1e-5)


def test_a_treatment_that_took_is_seen(folder):
    """Trained on code, the loss on other code falls by more than that on prose; and the other way round."""
    encoding = reading(folder)
    taught = {"coding": pool({"coding": 8}, "-t"), "other": pool({"other": 8}, "-t")}
    held_out = pool({"coding": 3, "other": 3})

    def losses(model) -> dict[str, float]:
        return {row["label"]: row["loss"] for row in measure(model, held_out, encoding, silent)}

    before = losses(load_model(folder, "float32"))
    for treated, other in (("coding", "other"), ("other", "coding")):
        model = load_model(folder, "float32")
        how = SETTINGS.model_copy(update={"epochs": 4, "learning_rate": 5e-3})
        train(model, [encoding(m) for m in taught[treated]["messages"]], how, seed=0, progress=silent)
        after = losses(model)
        assert before[treated] - after[treated] > 0.5
        assert before[treated] - after[treated] > before[other] - after[other]


def test_what_is_cut_and_what_has_no_room_is_counted(folder):
    long = [{"role": "user", "content": "word " * 60}, {"role": "assistant", "content": "yes"}]
    rows = [*pool({"coding": 1}).to_dicts(), {"example_id": "long", "label": "coding", "messages": long}]
    held_out = HELD_OUT.frame(rows)
    (row,) = measure(load_model(folder, "float32"), held_out, reading(folder, 30), silent)
    assert (row["examples"], row["left_out"]) == (1, 1)
    (row,) = measure(load_model(folder, "float32"), held_out.tail(1), reading(folder, 30), silent)
    assert (row["examples"], row["left_out"], row["loss"]) == (0, 1, None)


def test_a_broken_checkpoint_is_told(folder):
    model = load_model(folder, "float32")
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    with pytest.raises(MachineError, match="the loss on coding text is nan"):
        measure(model, HELD_OUT.frame(pool({"coding": 1}).to_dicts()), reading(folder), silent)
