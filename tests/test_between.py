"""Adapters between two adapters: their change is the weighted sum of both, to the last digits, and peft loads them."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from test_joined import adapter, edited, onto
from tiny import FAMILIES, write_backbone

from codedose.backbone import load_model
from codedose.errors import MachineError
from codedose.generate import served
from codedose.joined import resolve
from codedose.tune.between import interpolate


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_backbone(tmp_path_factory.mktemp("base") / "tiny", FAMILIES[1], layers=2, hidden=32)


def merged(base: Path, folder: Path | None) -> dict[str, torch.Tensor]:
    """The weights of a backbone with an adapter in them, by plain peft."""
    model = load_model(base, "float32")
    return (PeftModel.from_pretrained(model, str(folder)).merge_and_unload() if folder else model).state_dict()


WAYS = (
    {},
    {"use_rslora": True},
    {"r": 5, "lora_alpha": 2},  # another rank and scaling than the first
)


@pytest.mark.parametrize("other", WAYS, ids=["alike", "rslora", "other rank"])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.6, 1.0])
def test_the_change_is_the_weighted_sum_of_both(base: Path, tmp_path: Path, share: float, other: dict[str, object]):
    zero, one = adapter(tmp_path / "0", base), adapter(tmp_path / "1", base, seed=1, **other)
    interpolate(zero, one, share, tmp_path / "between")
    before, found = merged(base, None), merged(base, tmp_path / "between")
    first, second = merged(base, zero), merged(base, one)
    for name, weights in before.items():
        wanted = (1 - share) * (first[name] - weights) + share * (second[name] - weights)
        torch.testing.assert_close(found[name] - weights, wanted, rtol=0, atol=1e-6)
    changed = [name for name in before if not torch.equal(found[name], before[name])]
    assert {name.split(".")[-2] for name in changed} == {"q_proj", "down_proj"}
    end = {0.0: first, 1.0: second}.get(share)
    for name, weights in (end or {}).items():
        torch.testing.assert_close(found[name], weights, rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning")
def test_an_adapter_that_holds_more_than_low_rank_changes_of_layers_is_refused(base: Path, tmp_path: Path):
    how = {"target_modules": ["embed_tokens", "v_proj"]}
    zero, one = adapter(tmp_path / "0", base, **how), adapter(tmp_path / "1", base, seed=1, **how)
    with pytest.raises(MachineError, match=r"embed_tokens.* no part of a plain low-rank change"):
        interpolate(zero, one, 0.5, tmp_path / "between")


def test_what_is_between_is_loaded_like_any_adapter(base: Path, tmp_path: Path):
    zero, one = adapter(tmp_path / "0", base), adapter(tmp_path / "1", base, seed=1)
    interpolate(zero, one, 0.25, tmp_path / "between")
    ours, wanted = (
        load_model(resolve(str(tmp_path / "between"), onto(base)), "float32"),
        merged(base, tmp_path / "between"),
    )
    assert all(torch.equal(weights, wanted[name]) for name, weights in ours.state_dict().items())
    assert served.rank_apart(tmp_path / "between") == 8  # 3 + 3 ranks


def test_the_command_writes_it_and_refuses_a_full_folder(base: Path, tmp_path: Path, codedose):
    zero, one = adapter(tmp_path / "0", base), adapter(tmp_path / "1", base, seed=1)
    told = codedose("interpolate", zero, one, "--share", 0.25, "--out", tmp_path / "out", "--json")
    assert (told.code, told.json) == (0, {"share": 0.25, "rank": 6, "out": str(tmp_path / "out")}), told.err
    interpolate(zero, one, 0.25, tmp_path / "again")
    for file in (tmp_path / "out").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()
    again = codedose("interpolate", zero, one, "--share", 0.25, "--out", tmp_path / "out")
    assert (again.code, "is not empty" in again.err) == (2, True)
    assert codedose("interpolate", zero, one, "--share", 1.5, "--out", tmp_path / "x").code == 2
    assert codedose("interpolate", zero, base, "--share", 0.5, "--out", tmp_path / "x").code == 4
    assert not (tmp_path / "x").exists()


BAD = (
    (lambda one: edited(one, base_model_name_or_path="somebody/else"), "different backbones"),
    (lambda one: edited(one, use_dora=True), "use_dora"),
    (lambda one: edited(one, rank_pattern={"q_proj": 2}), "rank_pattern"),
    (lambda one: edited(one, bias="all"), "bias"),
    (lambda one: edited(one, r="many"), "the rank 'many'"),
    (lambda one: edited(one, r=4), "no part of a plain low-rank change of rank 4"),
    (lambda one: edited(one, target_modules=["q_proj"]), "different target_modules"),
    (lambda one: edited(one, fan_in_fan_out=True), "different fan_in_fan_out"),
    (lambda one: (one / "adapter_model.safetensors").write_bytes(b"\x80\x04."), "cannot be read"),
    (lambda one: (one / "adapter_config.json").unlink(), "has no adapter_config.json"),
    (shutil.rmtree, "holds no LoRA adapter"),
)


@pytest.mark.parametrize(("damage", "says"), BAD, ids=[says for _, says in BAD])
def test_what_cannot_be_interpolated_is_one_sentence_and_leaves_nothing(base, tmp_path, damage, says):
    zero, one = adapter(tmp_path / "0", base), adapter(tmp_path / "1", base, seed=1)
    damage(one)
    with pytest.raises(MachineError, match=says):
        interpolate(zero, one, 0.5, tmp_path / "between")
    assert not (tmp_path / "between").exists()


def test_the_backbones_of_adapters_trained_here_are_told_by_their_weights(base: Path, tmp_path: Path):
    zero, one = adapter(tmp_path / "0", base), adapter(tmp_path / "1", base, seed=1)
    (zero / "base.json").write_text(json.dumps({"identity": "a", "weights": {"model.safetensors": "x"}}))
    (one / "base.json").write_text(json.dumps({"identity": "b", "weights": {"model.safetensors": "y"}}))
    with pytest.raises(MachineError, match=r"different backbones.*base\.json beside each says which"):
        interpolate(zero, one, 0.5, tmp_path / "between")
    (one / "base.json").write_text(json.dumps({"identity": "b", "weights": {"model.safetensors": "x"}}))
    edited(one, base_model_name_or_path="the same weights under another name")
    interpolate(zero, one, 0.5, tmp_path / "between")
    assert (tmp_path / "between" / "base.json").is_file()


def test_adapters_of_other_shapes_are_refused(base: Path, tmp_path: Path):
    wide = write_backbone(tmp_path / "wide", FAMILIES[1], layers=2, hidden=64)
    zero, one = adapter(tmp_path / "0", base), adapter(tmp_path / "1", wide)
    edited(
        one, base_model_name_or_path=json.loads((zero / "adapter_config.json").read_text())["base_model_name_or_path"]
    )
    with pytest.raises(MachineError, match=r"different backbones: .*lora_A"):
        interpolate(zero, one, 0.5, tmp_path / "between")


def test_a_share_beyond_the_ends_is_no_share(base: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="between 0 and 1"):
        interpolate(tmp_path, tmp_path, 1.2, tmp_path / "between")
