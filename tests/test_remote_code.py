"""A model's own code is run only by an explicit word and pinned, a checkpoint's never; pickles never are weights."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import SMALL, changed
from tiny import FAMILIES, write_backbone

from codedose import stages
from codedose.backbone import identity, load_model, load_tokenizer, may_run, missing, resolve
from codedose.errors import MachineError, StudyError
from codedose.generate.own import load as load_to_ask
from codedose.joined import located
from codedose.plan import Planner
from codedose.study import parse

CODE = """
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM

Path({mark!r}).write_text("run")


class MineConfig(LlamaConfig):
    model_type = "mine"


class Mine(LlamaForCausalLM):
    config_class = MineConfig
    is_mine = {word!r}
"""
NAMES = {"AutoConfig": "modeling_mine.MineConfig", "AutoModelForCausalLM": "modeling_mine.Mine"}


def rewrite(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def bring_code(folder: Path, mark: Path, word: str = "mine") -> None:
    """Have a folder bring code that writes the file `mark` when it is run."""
    rewrite(folder / "config.json", model_type="mine", auto_map=NAMES, architectures=["Mine"])
    (folder / "modeling_mine.py").write_text(CODE.format(mark=str(mark), word=word))


@pytest.fixture(autouse=True)
def modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """transformers copies code into a cache of its own before it is run."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("CODEDOSE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_backbone(tmp_path_factory.mktemp("made") / "mine", FAMILIES[0], layers=1, hidden=32)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


@pytest.fixture
def folder(made: Path, tmp_path: Path, mark: Path) -> Path:
    copied = Path(shutil.copytree(made, tmp_path / "mine"))
    bring_code(copied, mark)
    return copied


def test_without_the_word_nothing_is_run_and_the_mend_is_named(folder: Path, mark: Path) -> None:
    assert "remote_code: true" in str(missing(str(folder), None))
    with pytest.raises(MachineError, match="own code"):
        resolve(str(folder), None)
    with pytest.raises(ValueError, match="trust_remote_code"):
        load_model(folder, "float32", "cpu")
    assert not mark.exists()


def test_with_the_word_the_models_own_class_is_asked(folder: Path, mark: Path) -> None:
    assert missing(str(folder), None, True) is None
    there = resolve(str(folder), None, True)
    assert not mark.exists()
    assert load_model(there, "float32", "cpu").is_mine == "mine"
    assert mark.exists()
    assert load_tokenizer(there).encode("What is code?")


def test_code_is_part_of_what_a_backbone_is_only_where_it_is_run(folder: Path) -> None:
    without, with_code = (identity(str(folder), None, word) for word in (False, True))
    (folder / "modeling_mine.py").write_text("x = 1")
    assert identity(str(folder), None) == without
    assert identity(str(folder), None, True) != with_code


def test_changed_code_is_another_folder_and_the_old_one_stays_as_it_was(folder: Path, mark: Path) -> None:
    before = resolve(str(folder), None, True)
    bring_code(folder, mark, "changed")
    after = resolve(str(folder), None, True)
    assert before != after
    assert load_model(before, "float32", "cpu").is_mine == "mine"
    assert load_model(after, "float32", "cpu").is_mine == "changed"


@pytest.mark.parametrize("revision", [None, "main", "a" * 39, "A" * 40, "g" * 40])
def test_on_the_hub_code_needs_a_pinned_revision_too(revision: str | None) -> None:
    with pytest.raises(StudyError, match="pinned revision"):
        resolve("owner/name", revision, True)


@pytest.mark.parametrize("name", ["owner/name--modeling.Mine", "../evil.Mine", "/etc/x.Mine", "modeling", "x y.Z", ""])
@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "generation_config.json"])
def test_code_of_another_place_is_refused_even_with_the_word(folder: Path, name: str, file: str, mark: Path) -> None:
    if not (folder / file).exists():
        (folder / file).write_text("{}")
    rewrite(folder / file, auto_map={"AutoTokenizer": [name, None]})
    with pytest.raises(MachineError, match="no code of that folder"):
        resolve(str(folder), None, True)
    assert not mark.exists()


def test_pickled_weights_are_refused_even_with_the_word(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(MachineError, match="pickled weights are never loaded"):
        resolve(str(folder), None, True)


def test_nobody_makes_a_folder_trusted_by_what_it_holds(folder: Path, tmp_path: Path) -> None:
    assert not may_run(folder)
    (tmp_path / "cache" / "with-code").mkdir(parents=True)
    (tmp_path / "elsewhere").symlink_to(tmp_path / "cache" / "with-code")
    (tmp_path / "cache" / "with-code" / "planted").symlink_to(folder)
    assert not may_run(tmp_path / "cache" / "with-code" / "planted")
    assert may_run(resolve(str(folder), None, True))


def test_a_checkpoint_is_asked_with_its_backbones_code_and_never_its_own(
    folder: Path, tmp_path: Path, mark: Path
) -> None:
    base, kept, sprung = resolve(str(folder), None, True), tmp_path / "checkpoint", tmp_path / "sprung"
    stages.keep(load_model(base, "float32", "cpu"), load_tokenizer(base), kept, "float32")
    bring_code(kept, sprung, "the checkpoint's")
    onto = {"model": str(folder), "revision": None}
    there, adapter = located(str(kept), {**onto, "remote_code": True})
    assert adapter is None
    assert load_to_ask(there, "float32").model.is_mine == "mine"
    with pytest.raises(MachineError, match="own code"):
        located(str(kept), onto)
    assert not sprung.exists()


def test_the_word_stands_in_the_study_and_reaches_every_step(folder: Path, tmp_path: Path) -> None:
    def told(**more: Any) -> Planner:
        backbone = {**SMALL["backbones"][0], "model": "mine", **more}
        return Planner(parse(yaml.safe_dump(changed(SMALL, {"backbones.0": backbone})), "s.yaml"), tmp_path)

    assert told().missing[1]
    word = told(remote_code=True)
    assert word.missing == ([], [])
    assert {step.given["backbone"]["remote_code"] for step in word.steps if "backbone" in step.given} == {True}
    assert "remote_code" not in told().study.model_dump_json()
    assert parse(yaml.safe_dump(word.study.model_dump(mode="json")), "s.yaml") == word.study


@pytest.mark.parametrize(
    "changes",
    [
        {"remote_code": None},
        {"remote_code": "true"},
        {"remote_code": 1},
        {"model": "builtin:smollm2-135m", "remote_code": True},
        {"model": "x.gguf", "remote_code": True},
    ],
)
def test_only_the_word_itself_is_one(changes: dict[str, Any]) -> None:
    study = changed(SMALL, {"backbones.0": {**SMALL["backbones"][0], **changes}})
    with pytest.raises(StudyError, match="remote_code"):
        parse(yaml.safe_dump(study), "s.yaml")
