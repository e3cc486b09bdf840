"""Adapters: the layers of every family, alike at the start, kept as peft reads them, asked as they were trained."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml
from conftest import SMALL, changed
from peft import PeftModel
from test_tune import LAYOUTS, LORA, SETTINGS, silent, some_examples
from tiny import FAMILIES, Family, write_backbone

from codedose.backbone import load_model
from codedose.errors import MachineError
from codedose.generate import own, served
from codedose.joined import keep_base, located, resolve
from codedose.plan import Planner, settled
from codedose.runner.disk import Disk
from codedose.runner.schedule import Slots, Teller, inline, run
from codedose.study import Tune, load
from codedose.tune import train
from codedose.tune.lora import adapted, keep_adapter, targets


def settings(**changes: Any) -> Tune:
    return SETTINGS.model_copy(update={"method": "lora", "lora": LORA, "learning_rate": 1e-2, **changes})


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("backbones")
    return {family.name: write_backbone(home / family.name, family, layers=2, hidden=32) for family in FAMILIES}


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    family: Family = request.param
    return folders[family.name]


def onto(folder: Path) -> dict[str, Any]:
    return {"model": str(folder), "revision": None}


def trained(folder: Path, out: Path, how: Tune, **more: Any) -> tuple[Any, list[dict[str, Any]]]:
    """A model with an adapter that was trained and kept in `out`, and the rows of its training."""
    model = load_model(folder, "float32")
    assert how.lora
    wrapped = adapted(model, how.lora, seed=0, backbone=folder.name)
    rows = train(model, some_examples(8), how, seed=0, progress=silent, **more)
    keep_adapter(wrapped, out)
    keep_base(out, folder, onto(folder))
    return model, rows


def test_all_linear_layers_of_the_blocks_are_adapted_or_those_of_attention(folder):
    model = load_model(folder, "float32")
    attention, rest = ["k_proj", "o_proj", "q_proj", "v_proj"], ["down_proj", "gate_proj", "up_proj"]
    assert targets(model, LORA) == sorted([*attention, *rest])
    assert targets(model, LORA.model_copy(update={"targets": "attention"})) == attention
    assert targets(model, LORA.model_copy(update={"targets": ("v_proj", "q_proj")})) == ["q_proj", "v_proj"]


def test_a_layer_that_a_backbone_does_not_have_is_told_with_those_that_it_has(folders):
    model = load_model(folders["Gemma"], "float32")
    with pytest.raises(MachineError, match=r"no linear layer 'c_attn' in its blocks; it has down_proj, gate_proj"):
        targets(model, LORA.model_copy(update={"targets": ("c_attn",)}))


def test_adapters_of_a_seed_begin_alike_and_change_nothing_yet(folder):
    tokens = torch.tensor([some_examples(1)[0].tokens])
    plain = load_model(folder, "float32").eval()(input_ids=tokens).logits
    starts = []
    for seed in (0, 0, 1):
        model = load_model(folder, "float32")
        torch.rand(seed + 3)  # what was drawn before does not matter
        wrapped = adapted(model, LORA, seed=seed, backbone="x")
        assert torch.equal(model.eval()(input_ids=tokens).logits, plain)
        starts.append({name: weights for name, weights in wrapped.named_parameters() if weights.requires_grad})
    assert starts[0].keys() == starts[2].keys()
    assert all("lora_" in name for name in starts[0])
    assert all(torch.equal(weights, starts[1][name]) for name, weights in starts[0].items())
    assert not all(torch.equal(weights, starts[2][name]) for name, weights in starts[0].items())


def test_only_adapters_move_and_they_learn(folder, tmp_path):
    before = load_model(folder, "float32").state_dict()
    model, rows = trained(folder, tmp_path / "adapter", settings(epochs=None, steps=30))
    assert rows[-1]["loss"] < 0.9 * rows[0]["loss"]
    for name, weights in model.state_dict().items():
        if "lora_" not in name:
            assert torch.equal(weights, before[name.replace(".base_layer", "")])


def test_a_kept_adapter_answers_the_same_in_plain_peft_and_in_both_ways_of_loading_it(folder, tmp_path):
    model, _ = trained(folder, tmp_path / "adapter", settings())
    tokens = torch.tensor([some_examples(1, seed=5)[0].tokens])
    wanted = model.eval()(input_ids=tokens).logits
    plain = load_model(folder, "float32")
    assert not torch.allclose(plain(input_ids=tokens).logits, wanted, atol=1e-3)
    in_peft = PeftModel.from_pretrained(plain, str(tmp_path / "adapter"))
    torch.testing.assert_close(in_peft(input_ids=tokens).logits, wanted)
    base, adapter = located(str(tmp_path / "adapter"), onto(folder))
    assert (base, adapter) == (folder, tmp_path / "adapter")
    for asked in (own.load(base, "float32", adapter).model, load_model(resolve(str(adapter), onto(folder)), "float32")):
        torch.testing.assert_close(asked(input_ids=tokens).logits, wanted, rtol=1e-4, atol=1e-4)


def test_layouts_change_nothing(folder, tmp_path):
    found = []
    for name, (packed, most) in LAYOUTS.items():
        how = settings(learning_rate=1e-3)
        found.append(trained(folder, tmp_path / name, how, packed=packed, micro_tokens=most)[1])
    for rows in found[1:]:
        assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in found[0]], rel=1e-5)


def test_dropout_belongs_to_the_seed_and_the_step(folders, tmp_path):
    how = settings(lora=LORA.model_copy(update={"dropout": 0.5}))
    runs = [trained(folders["Llama-2"], tmp_path / str(n), how)[1] for n in range(2)]
    losses = [[row["loss"] for row in rows] for rows in runs]
    assert losses[0] == losses[1]
    assert losses[0] != [row["loss"] for row in trained(folders["Llama-2"], tmp_path / "none", settings())[1]]


def test_an_adapter_names_what_it_was_trained_on_and_is_refused_on_other_weights(folders, tmp_path):
    folder = folders["Llama-2"]
    trained(folder, tmp_path / "adapter", settings())
    assert json.loads((tmp_path / "adapter" / "base.json").read_text())["weights"].keys() == {"model.safetensors"}
    other = tmp_path / "other"
    other.mkdir()
    for file in folder.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    assert located(str(tmp_path / "adapter"), onto(other))[0] == other  # the same weights under another name
    moved = load_model(folder, "float32")
    with torch.no_grad():
        moved.get_input_embeddings().weight.add_(1)
    moved.save_pretrained(other)
    with pytest.raises(MachineError, match="was trained on other weights than those of other"):
        located(str(tmp_path / "adapter"), onto(other))


def test_in_mixed_precision_the_backbone_is_bfloat16_and_adapters_float32(folders):
    model = load_model(folders["Llama-3"], "bfloat16")
    adapted(model, LORA, seed=0, backbone="x")
    kinds = {weights.dtype for weights in model.parameters() if weights.requires_grad}
    assert kinds == {torch.float32}
    rows = train(
        model, some_examples(8), settings(precision="bfloat16_mixed", epochs=20), seed=0, progress=silent, packed=True
    )
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_vllm_takes_an_adapter_apart_where_it_can(folders, tmp_path):
    trained(folders["Llama-2"], tmp_path / "adapter", settings())
    assert served.rank_apart(tmp_path / "adapter") == 8  # the least that it makes room for
    wide = settings(lora=LORA.model_copy(update={"rank": 20}))
    trained(folders["Llama-2"], tmp_path / "wide", wide)
    assert served.rank_apart(tmp_path / "wide") == 32
    said = json.loads((tmp_path / "wide" / "adapter_config.json").read_text())
    (tmp_path / "wide" / "adapter_config.json").write_text(json.dumps({**said, "use_dora": True}))
    assert served.rank_apart(tmp_path / "wide") is None


def test_a_study_of_adapters_goes_the_whole_line(tmp_path):
    """Targets are told by family; every tuned cell leaves an adapter that peft reads, and a report is made."""
    write_backbone(tmp_path / "tiny", FAMILIES[1], layers=2, hidden=32)
    lora = {"rank": 2, "alpha": 4.0, "dropout": 0.0, "targets": {"Llama": ["q_proj"]}}
    changes = {"tune.method": "lora", "tune.lora": lora, "tune.max_length": 320, "tune.epochs": None, "tune.steps": 3}
    said = changed(SMALL, {**changes, "mix.draws": 1, "keep_checkpoints": True, "prompt.template": "vicuna"})
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(said))
    planner, store = Planner(load(tmp_path / "study.yaml"), tmp_path), tmp_path / "store"
    for _ in range(2):  # the search for leaks, then all
        planner = settled(planner, Disk(store))
        steps = planner.search if planner.is_pending else planner.steps
        outcome = run(Disk(store), steps, slots=Slots(1), submit=inline, tell=Teller())
        assert [failure.reason for failure in outcome.failed] == []
    tuned = [store / step.folder for step in planner.steps if step.kind == "tune"]
    assert len(tuned) == 2
    for folder in tuned:
        plain = load_model(tmp_path / "tiny", "float32")
        adapted_again = PeftModel.from_pretrained(plain, str(folder / "checkpoint"))
        assert adapted_again.peft_config["default"].target_modules == {"q_proj"}
        assert pl.read_parquet(folder / "training.parquet").height == 3
    assert list(store.glob("report/*/report.html"))
