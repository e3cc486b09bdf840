"""Cells trained elsewhere join a study: they are asked as they are, and nothing is tuned for them."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml
from conftest import SMALL, changed
from peft import LoraConfig, PeftModel, get_peft_model
from tiny import FAMILIES, write_backbone
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from codedose import stages, tables
from codedose.backbone import load_model, load_tokenizer
from codedose.cells import cells
from codedose.cli import app
from codedose.cli.planned import describe
from codedose.cost import cost
from codedose.errors import MachineError, StudyError
from codedose.held_out import measure
from codedose.joined import missing, resolve
from codedose.plan import Planner, settled
from codedose.prompt import encode
from codedose.runner.disk import Disk
from codedose.runner.schedule import Outcome, Slots, Teller, inline, run
from codedose.runner.step import Step
from codedose.study import load, parse

CELL = {"backbone": "tiny", "arm": "Code", "share": None, "draw": 0, "seed": 0, "checkpoint": "runs/code-0"}
THEIRS = [{**CELL, "arm": "Theirs", "draw": draw, "checkpoint": f"runs/theirs-{draw}"} for draw in range(2)]


def onto(folder: Path) -> dict[str, Any]:
    return {"model": str(folder), "revision": None}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_backbone(tmp_path_factory.mktemp("base") / "tiny", FAMILIES[1], layers=2, hidden=32)


def adapter(folder: Path, base: Path, *, seed: int = 0, **settings: Any) -> Path:
    """A LoRA adapter of a backbone with random weights in `folder`, as PEFT saves it."""
    torch.manual_seed(seed)
    usual = {"r": 3, "lora_alpha": 7, "target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM"}
    model = get_peft_model(load_model(base, "float32"), LoraConfig(**{**usual, **settings}))
    for name, weights in model.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            torch.nn.init.normal_(weights, std=0.3)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def made(base: Path, tmp_path: Path) -> Path:
    """An adapter that a test may damage."""
    return adapter(tmp_path / "adapter", base)


# Adapters

KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"use_rslora": True},
    {"use_dora": True},
    {"rank_pattern": {"q_proj": 5}, "alpha_pattern": {"q_proj": 2}},
    {"modules_to_save": ["lm_head"]},
    {"target_modules": ["embed_tokens", "v_proj"]},
    {"layers_to_transform": [1]},
)


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning")
@pytest.mark.parametrize("settings", KINDS, ids=lambda kind: next(iter(kind), "plain"))
def test_an_adapter_is_merged_as_peft_merges_it(base: Path, tmp_path: Path, settings: dict[str, Any]):
    folder = adapter(tmp_path / "adapter", base, **settings)
    found = load_model(resolve(str(folder), onto(base)), "float32").state_dict()
    wanted = PeftModel.from_pretrained(load_model(base, "float32"), str(folder)).merge_and_unload().state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], weights) for name, weights in wanted.items())
    before = load_model(base, "float32").state_dict()
    assert any(not torch.equal(before[name], weights) for name, weights in found.items())


def test_an_adapter_is_merged_on_demand_into_a_folder_that_plain_transformers_loads(base, made, codedose, tmp_path):
    out = tmp_path / "whole"
    told = codedose("merge", made, "--onto", base, "--out", out)
    assert told.code == 0, told.err
    found = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).state_dict()
    wanted = PeftModel.from_pretrained(load_model(base, "float32"), str(made)).merge_and_unload().state_dict()
    assert all(torch.equal(found[name], weights) for name, weights in wanted.items())
    assert load_tokenizer(out).encode("a b") == load_tokenizer(base).encode("a b")
    again = codedose("merge", made, "--onto", base, "--out", out)
    assert (again.code, f"{out}: is not empty" in again.err) == (2, True)
    assert "is no adapter" in codedose("merge", out, "--onto", base, "--out", tmp_path / "other").err


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning")
@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning")
@pytest.mark.parametrize("settings", [{"modules_to_save": ["lm_head"]}, {"target_modules": ["lm_head"]}, {}], ids=str)
def test_a_head_that_was_the_embedding_keeps_what_an_adapter_made_of_it(tmp_path: Path, settings: dict[str, Any]):
    base = write_backbone(tmp_path / "tied", FAMILIES[2], layers=1, hidden=32)
    folder = adapter(tmp_path / "adapter", base, **settings)
    tokens = torch.arange(40)[None]
    found = load_model(resolve(str(folder), onto(base)), "float32")(tokens).logits
    adapted = PeftModel.from_pretrained(load_model(base, "float32"), str(folder))
    assert torch.allclose(found, adapted(tokens).logits, atol=1e-4)


def test_a_plain_adapter_adds_alpha_by_rank_times_its_product(base: Path, made: Path):
    from safetensors.torch import load_file

    parts = load_file(made / "adapter_model.safetensors")
    key = "model.layers.1.self_attn.q_proj"
    product = parts[f"base_model.model.{key}.lora_B.weight"] @ parts[f"base_model.model.{key}.lora_A.weight"]
    found = load_model(resolve(str(made), onto(base)), "float32").state_dict()[f"{key}.weight"]
    before = load_model(base, "float32").state_dict()[f"{key}.weight"]
    assert torch.allclose(found, before + 7 / 3 * product, atol=1e-6)


def test_a_merged_adapter_asks_with_its_own_tokenizer_or_else_its_backbones(base: Path, made: Path):
    text = "Is 12 + 30 = 42?"
    plain = load_tokenizer(resolve(str(made), onto(base)))
    assert plain.encode(text) == load_tokenizer(base).encode(text)
    for file in base.glob("tokenizer*"):
        shutil.copy(file, made)
    told = json.loads((made / "tokenizer_config.json").read_text())
    (made / "tokenizer_config.json").write_text(json.dumps({**told, "eos_token": "<unk>"}))
    own = load_tokenizer(resolve(str(made), onto(base)))
    assert own.eos_token == load_tokenizer(made).eos_token != plain.eos_token


def edited(folder: Path, **settings: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def pickled(folder: Path) -> None:
    torch.save({}, folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()


BAD: tuple[tuple[Callable[[Path], object], str], ...] = (
    (pickled, "pickled"),
    (lambda folder: (folder / "adapter_model.safetensors").unlink(), "is not there"),
    (lambda folder: (folder / "adapter_config.json").unlink(), "has no adapter_config.json"),
    (lambda folder: (folder / "adapter_config.json").write_text("{"), "not a JSON file"),
    (lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"\x80\x04."), "not a safetensors file"),
    (lambda folder: edited(folder, peft_type="IA3"), "'IA3'"),
    (lambda folder: edited(folder, target_modules="(a+)+$"), "target_modules"),
    (lambda folder: edited(folder, rank_pattern={"(.*a){30}": 2}), "rank_pattern"),
    (lambda folder: edited(folder, target_modules=7), "target_modules"),
    (lambda folder: edited(folder, megatron_config={"a": 1}), "megatron_config"),
    (lambda folder: edited(folder, init_lora_weights="pissa"), "init_lora_weights"),
    (lambda folder: edited(folder, some_new_thing=True), "some_new_thing"),
    (lambda folder: (folder / "config.json").write_text("{}") and (folder / "model.safetensors").touch(), "both whole"),
)


@pytest.mark.parametrize(("damage", "says"), BAD, ids=[says for _, says in BAD])
def test_an_adapter_that_cannot_be_merged_is_told_before_anything_runs(
    base: Path, made: Path, damage: Callable[[Path], object], says: str
):
    damage(made)
    sentence = missing(str(made), onto(base))
    assert sentence
    assert str(made) in sentence
    assert says in sentence


class Trap:
    """Whoever unpickles it writes a file."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.place,)


def test_what_lies_pickled_beside_an_adapter_is_never_opened(base: Path, made: Path, tmp_path: Path):
    torch.save({"weights": Trap(tmp_path / "sprung")}, made / "adapter_model.bin")
    assert resolve(str(made), onto(base)).is_dir()
    assert not (tmp_path / "sprung").exists()


def test_an_adapter_of_another_backbone_is_refused_by_its_shapes(made: Path, tmp_path: Path):
    other = write_backbone(tmp_path / "other", FAMILIES[1], layers=2, hidden=64)
    fewer = write_backbone(tmp_path / "fewer", FAMILIES[1], layers=1, hidden=32)
    assert "was trained on another backbone than other" in str(missing(str(made), onto(other)))
    assert "layers.1" in str(missing(str(made), onto(fewer)))
    with pytest.raises(MachineError, match="another backbone"):
        resolve(str(made), onto(other))


def test_the_name_of_an_adapters_backbone_is_only_a_hint(base: Path, made: Path):
    edited(made, base_model_name_or_path="somebody/else")
    assert missing(str(made), onto(base)) is None


def test_an_adapter_whose_config_says_other_modules_is_refused(base: Path, made: Path):
    edited(made, target_modules=["q_proj"])
    with pytest.raises(MachineError, match="other weights than its config says"):
        resolve(str(made), onto(base))


# Checkpoints


def test_a_checkpoint_without_a_tokenizer_takes_its_backbones(base: Path, tmp_path: Path):
    folder = Path(shutil.copytree(base, tmp_path / "run", ignore=shutil.ignore_patterns("tokenizer*")))
    assert missing(str(folder), onto(base)) is None
    found = resolve(str(folder), onto(base))
    assert load_tokenizer(found).encode("12 + 30") == load_tokenizer(base).encode("12 + 30")
    weights = load_model(found, "float32").state_dict()
    assert all(torch.equal(weights[name], w) for name, w in load_model(base, "float32").state_dict().items())


def test_a_checkpoint_with_a_tokenizer_is_loaded_where_it_is(base: Path, tmp_path: Path):
    folder = Path(shutil.copytree(base, tmp_path / "run"))
    assert resolve(str(folder), onto(base)) == folder


# In a study


def study(joined: Sequence[dict[str, Any]] | None, changes: dict[str, Any] | None = None) -> str:
    return yaml.safe_dump(changed(SMALL, {"joined": joined, **(changes or {})}), sort_keys=False)


def test_the_guides_example_is_a_study():
    guide = (Path(__file__).parents[1] / "docs" / "elsewhere.md").read_text(encoding="utf-8")
    joined = yaml.safe_load(guide.partition("```yaml\njoined:")[2].partition("```")[0])
    study_of_it = parse(study(joined, {"backbones.0.name": "smollm2-135m"}), "s.yaml")
    assert [cell.name for cell in cells(study_of_it) if cell.checkpoint] == ["smollm2-135m/Code/d0/s0/elsewhere"]


@pytest.mark.parametrize(
    ("joined", "says"),
    [
        ([{**CELL, "backbone": "large"}], "joined.0.backbone: 'large' is not a backbone"),
        ([{**CELL, "draw": 2}], "joined.0.draw: must be less than 2"),
        ([{**CELL, "seed": 1}], "joined.0.seed: must be less than 1"),
        ([{**CELL, "share": 0.5}], "joined.0.share: must be null"),
        ([CELL, {**CELL, "checkpoint": "b"}], "joined.1.arm: stands already in joined.0"),
        ([CELL, {**CELL, "draw": 1}], "joined.1.checkpoint: stands already in joined.0"),
        ([THEIRS[0], {**THEIRS[1], "share": 0.5}], "joined.1.share: 'Theirs' has another share"),
        (THEIRS[:1], "joined: the arm 'Theirs' is not in mix.arms and lacks tiny, draw 1, seed 0"),
        ([{**CELL, "arm": "untuned"}], "joined.0.arm: 'untuned'"),
        ([{key: CELL[key] for key in CELL if key != "share"}], "joined.0.share is missing"),
    ],
)
def test_a_joined_cell_that_cannot_be_is_refused_with_its_line(joined: list[dict[str, Any]], says: str):
    text = study(joined)
    with pytest.raises(StudyError) as problem:
        parse(text, "s.yaml")
    assert says in str(problem.value)
    line = int(str(problem.value).split("line ")[1].split(":")[0])
    first = next(number for number, words in enumerate(text.splitlines(), 1) if words.startswith("joined"))
    assert first <= line <= first + 7 * len(joined)


def counted(planner: Planner) -> Counter[str]:
    return Counter(step.kind for step in planner.steps)


def planned(home: Path, joined: Sequence[dict[str, Any]] | None, changes: dict[str, Any] | None = None) -> Planner:
    return Planner(parse(study(joined, changes), "s.yaml"), home)


def test_nothing_is_tuned_for_a_joined_cell_and_nothing_mixed_that_nobody_needs(tmp_path: Path, backbone_folder: Path):
    whole, joined = counted(planned(tmp_path, None)), counted(planned(tmp_path, [CELL]))
    assert whole - joined == {"tune": 1, "mix": 1}
    assert joined - whole == {}
    two = {"backbones": [SMALL["backbones"][0], {**SMALL["backbones"][0], "name": "other"}]}
    assert counted(planned(tmp_path, None, two)) - counted(planned(tmp_path, [CELL], two)) == {"tune": 1}


def test_an_arm_may_exist_only_elsewhere(tmp_path: Path, backbone_folder: Path):
    planner = planned(tmp_path, THEIRS, {"analyse.primary.arm": "Theirs"})
    assert counted(planner) - counted(planned(tmp_path, None)) == {"loss": 2, "generate": 4, "score": 2}
    found = [cell for cell in cells(planner.study) if cell.checkpoint]
    assert [cell.name for cell in found] == ["tiny/Theirs/d0/s0/elsewhere", "tiny/Theirs/d1/s0/elsewhere"]
    assert {cell.columns["share"] for cell in found} == {None}


def test_the_cost_is_of_what_is_tuned_here(tmp_path: Path):
    whole, joined = (cost(parse(study(some), "s.yaml")) for some in (None, [CELL]))
    assert (whole.runs, joined.runs) == (4, 3)
    assert joined.training_tokens == whole.training_tokens * 3 / 4
    assert (joined.replies, joined.cells) == (whole.replies, whole.cells)
    assert cost(parse(study(THEIRS), "s.yaml")).cells == whole.cells + 2


def test_a_missing_folder_is_told_by_plan(a_study: Callable[..., Path], tmp_path: Path):
    path = a_study({"joined": [CELL]})
    told = CliRunner().invoke(app, ["plan", str(path), "--json"], catch_exceptions=False)
    said = json.loads(told.stdout)
    sentence = f"joined: the checkpoint {tmp_path / 'runs/code-0'} is not there: no such folder"
    assert sentence in said["missing"]
    assert said["joined"] == ["tiny/Code/d0/s0/elsewhere"]


def test_other_weights_in_the_folder_ask_again(tmp_path: Path, backbone_folder: Path):
    shutil.copytree(backbone_folder, tmp_path / "runs" / "code-0")

    def keys() -> dict[str, str]:
        return {step.label: step.key for step in planned(tmp_path, [CELL]).steps if step.kind == "generate"}

    before = keys()
    (tmp_path / "runs" / "code-0" / "model.safetensors").write_bytes(b"others")
    after = keys()
    assert {label for label in before if before[label] != after[label]} == {
        label for label in before if label.startswith("tiny/Code/d0/s0/elsewhere")
    }


# The whole line: studies in one store, which share what is the same in them

USUAL = {"tune.max_length": 512, "tune.learning_rate": 0.05, "keep_checkpoints": True, "prompt.template": "vicuna"}


def performed(store: Path, planner: Planner) -> tuple[Planner, Outcome]:
    def do(steps: Sequence[Step]) -> Outcome:
        return run(Disk(store), steps, slots=Slots(1), submit=inline, tell=Teller())

    outcome = do(planner.search)
    planner = settled(planner, Disk(store))
    outcome.add(do(planner.steps))
    assert [failure.reason for failure in outcome.failed] == []
    return planner, outcome


def rows(store: Path, planner: Planner, kind: str, table: tables.Table) -> pl.DataFrame:
    return stages.take([store / step.folder for step in planner.steps if step.kind == kind], table)


@pytest.fixture(scope="module")
def line(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Planner, Planner]:
    """A home in which a study ran, and another one that joins one of its checkpoints and two adapters."""
    home = tmp_path_factory.mktemp("joined")
    (home / "tiny").symlink_to(base)
    (home / "first.yaml").write_text(study(None, USUAL))
    first, _ = performed(home / "store", Planner(load(home / "first.yaml"), home))
    tuned = next(s for s in first.steps if s.kind == "tune" and s.settings["cell"] == "tiny/Code/d0/s0")
    shutil.copytree(home / "store" / tuned.folder / stages.CHECKPOINT, home / "runs" / "code-0")
    for each in THEIRS:
        adapter(home / each["checkpoint"], base, seed=each["draw"])
    (home / "second.yaml").write_text(study([CELL, *THEIRS], {**USUAL, "name": "second"}))
    second, _ = performed(home / "store", Planner(load(home / "second.yaml"), home))
    return home, first, second


def test_a_joined_checkpoint_replies_as_the_tuned_one(line: tuple[Path, Planner, Planner]):
    home, first, second = line
    columns = ["item_id", "sample", "prompt_hash", "text", "n_tokens", "finish", "forced_text"]
    here, there = (
        rows(home / "store", planner, "generate", tables.COMPLETIONS).filter(pl.col("cell") == cell).select(columns)
        for planner, cell in ((first, "tiny/Code/d0/s0"), (second, "tiny/Code/d0/s0/elsewhere"))
    )
    assert len(here) == 4
    assert here.sort("item_id").equals(there.sort("item_id"))
    untuned = rows(home / "store", first, "generate", tables.COMPLETIONS).filter(pl.col("cell") == "tiny/untuned")
    assert not here.sort("item_id")["text"].equals(untuned.sort("item_id")["text"])


def test_the_loss_of_a_joined_cell_is_that_of_the_tuned_one_and_of_an_adapter_that_of_both_merged(
    line: tuple[Path, Planner, Planner], base: Path
):
    home, first, second = line
    here = rows(home / "store", first, "loss", tables.LOSSES)
    there = rows(home / "store", second, "loss", tables.LOSSES)

    def of(losses: pl.DataFrame, cell: str) -> list[float]:
        return losses.filter(pl.col("cell") == cell).sort("label")["loss"].to_list()

    assert of(here, "tiny/Code/d0/s0") == of(there, "tiny/Code/d0/s0/elsewhere")
    assert of(here, "tiny/Code/d0/s0") != of(here, "tiny/untuned")
    step = next(s for s in second.steps if s.kind == "held_out")
    held_out = stages.take([home / "store" / step.folder], tables.HELD_OUT)
    encoding = partial(encode, tokenizer=load_tokenizer(base), template="vicuna", system=None, max_length=512)
    apart = PeftModel.from_pretrained(load_model(base, "float32"), str(home / THEIRS[0]["checkpoint"]))
    wanted = [row["loss"] for row in measure(apart, held_out, encoding, lambda done, of, note: None)]
    assert of(there, "tiny/Theirs/d0/s0/elsewhere") == pytest.approx(wanted, rel=1e-4)


def test_scores_and_report_say_what_was_trained_elsewhere(line: tuple[Path, Planner, Planner]):
    home, _, second = line
    scores = rows(home / "store", second, "score", tables.SCORES)
    elsewhere = pl.col("cell").str.ends_with("/elsewhere")
    assert set(scores.filter(elsewhere)["arm"]) == {"Code", "Theirs"}
    assert scores.filter(elsewhere)["measured_dose"].null_count() == scores.filter(elsewhere).height
    assert scores.filter(~elsewhere & pl.col("draw").is_not_null())["measured_dose"].null_count() == 0
    effects = rows(home / "store", second, "analyse", tables.EFFECTS)
    assert {"Code - General", "Theirs - General", "Theirs - untuned"} <= set(effects["contrast"])
    balance = rows(home / "store", second, "balance", tables.BALANCE)
    assert set(balance.select("arm", "draw").unique().rows()) == {("General", 0), ("General", 1), ("Code", 1)}
    page = (home / "store" / second.steps[-1].folder / "report.html").read_text(encoding="utf-8")
    assert "3 cells were trained elsewhere" in page
    assert "runs/theirs-1" in page


def test_the_baseline_may_be_trained_elsewhere_too(line: tuple[Path, Planner, Planner]):
    """Without an arm to compare with nothing is said about balance, and the rest is as ever."""
    home, _, _ = line
    general = [{**CELL, "arm": "General", "draw": draw, "checkpoint": f"runs/theirs-{draw}"} for draw in range(2)]
    (home / "third.yaml").write_text(study(general, {**USUAL, "name": "third"}))
    third, _ = performed(home / "store", Planner(load(home / "third.yaml"), home))
    assert rows(home / "store", third, "balance", tables.BALANCE).is_empty()
    assert rows(home / "store", third, "analyse", tables.EFFECTS).height


def test_every_cell_may_be_trained_elsewhere(line: tuple[Path, Planner, Planner]):
    home, _, _ = line
    joined = []
    for number, (arm, draw) in enumerate((arm, draw) for arm in ("General", "Code") for draw in range(2)):
        folder = f"runs/all-{number}"
        adapter(home / folder, (home / "tiny").resolve(), seed=number)
        joined.append({**CELL, "arm": arm, "draw": draw, "checkpoint": folder})
    (home / "fourth.yaml").write_text(study(joined, {**USUAL, "name": "fourth"}))
    fourth, outcome = performed(home / "store", Planner(load(home / "fourth.yaml"), home))
    assert not {"mix", "tune"} & {step.kind for step in fourth.steps}
    assert describe(fourth, Disk(home / "store"))["cost"]["runs"] == 0
    assert "report" in {step.kind for step in outcome.performed}


def test_an_adapter_is_asked_on_plain_files(line: tuple[Path, Planner, Planner], tmp_path: Path):
    home, _, second = line
    items = home / "store" / second.items["coin_flip"].folder / "items.parquet"
    words = ["generate", str(home / "runs/theirs-0"), str(items), "--study", str(home / "second.yaml")]
    out = tmp_path / "replies.parquet"
    told = CliRunner().invoke(app, [*words, "--backbone", "tiny", "--out", str(out)], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    found = tables.read(out, tables.COMPLETIONS)
    asked = rows(home / "store", second, "generate", tables.COMPLETIONS)
    before = asked.filter(pl.col("cell") == "tiny/Theirs/d0/s0/elsewhere").join(found, on="item_id", how="semi")
    assert found.sort("item_id")["text"].equals(before.sort("item_id")["text"])


def test_a_failed_joined_cell_is_one_that_is_missing(line: tuple[Path, Planner, Planner]):
    _, _, second = line
    partial = replace(second, without=frozenset({"tiny/Theirs/d1/s0/elsewhere"}))
    assert counted(second) - counted(partial) == {"loss": 1, "generate": 2, "score": 1}
