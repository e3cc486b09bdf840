"""What many tests share: a cache of their own, no network, and small studies that plan in a moment."""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"  # before huggingface_hub is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is: models this small are slower on more threads

# Examples take as long as the machine is busy; what must be fast has a test of its own.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# Files that take longest. They go first, so that tests side by side end together.
LONGEST = (
    "families ray spread report_hostile store_races soak story together faults store_away failures lengths runner "
    "resume clusters shortcut gate cli means label_llm tasks joined analyse lora power generate report_axe report "
    "leaks paper label_model controls read own_tasks tune"
).split()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files in the order of LONGEST, the others after them as they were."""
    place = {f"test_{name}": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


SMALL: dict[str, Any] = {
    "codedose": 1,
    "name": "small",
    "question": "Does code help?",
    "caution": None,
    "pool": {
        "sources": [{"path": "builtin:starter", "revision": None, "licence": "Apache-2.0"}],
        "clean": {
            "chunks": "join",
            "longest": 4000,
            "languages": None,
            "refusals": "drop",
            "markup": "mend",
            "personal_data": "mask",
            "near_duplicates": 0.8,
        },
        "leaks": "drop",
    },
    "label": {"by": "stated", "llm": None, "audit": None},
    "mix": {
        "match_on": "examples",
        "tokenizer": None,
        "design": "fixed",
        "budget": 8,
        "math": 2,
        "stratify": [],
        "held_out": 2,
        "draws": 2,
        "arms": [
            {"name": "General", "share": 0.0, "repeat": None, "control": None},
            {"name": "Code", "share": 1.0, "repeat": None, "control": None},
        ],
    },
    "prompt": {"template": "chatml", "system": None},
    "tune": {
        "method": "full",
        "lora": None,
        "seeds": 1,
        "epochs": 1,
        "steps": None,
        "step_size": 4,
        "max_length": 64,
        "over_long": "cut",
        "shrinkage": 1.0,
        "optimiser": "adamw",
        "learning_rate": 1e-3,
        "schedule": "constant",
        "warmup": 0.0,
        "weight_decay": 0.0,
        "betas": [0.9, 0.999],
        "clip": 1.0,
        "loss": "token_mean",
        "precision": "float32",
    },
    "backbones": [{"name": "tiny", "model": "tiny", "revision": None, "family": "Llama", "scale": 0.001}],
    "joined": None,
    "untuned": True,
    "item_set": "small",
    "tasks": [
        {"name": "coin_flip", "origin": "generated", "path": None, "level": 1, "count": 2, "max_new_tokens": 4},
        {"name": "gsm8k", "origin": "generated", "path": None, "level": 1, "count": 2, "max_new_tokens": 4},
    ],
    "generate": {
        "engine": "transformers",
        "dtype": "float32",
        "decoding": "greedy",
        "batch_tokens": 1000,
        "forced_tokens": 2,
    },
    "analyse": {
        "primary": {"arm": "Code", "against": "General"},
        "reading": "lenient",
        "confidence": 0.95,
        "margin": 2.0,
        "consistency": {"consistent": 0.8, "opposite": 0.2},
        "model_check": False,
    },
    "keep_checkpoints": False,
}


def changed(study: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy of `study` with other values at dotted places, such as {"mix.draws": 3, "tasks.0.name": "x"}."""
    study = copy.deepcopy(study)
    for place, value in changes.items():
        *way, last = place.split(".")
        inner: Any = study
        for part in way:
            inner = inner[int(part) if part.isdigit() else part]
        inner[int(last) if last.isdigit() else last] = value
    return study


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Converted backbones and digests of the tests stay out of the user's cache."""
    os.environ.setdefault("CODEDOSE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def backbone_folder(tmp_path: Path) -> Path:
    """A folder that looks like a backbone: enough for a plan, too little for a run."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors").write_bytes(b"no weights")
    return folder


@pytest.fixture
def a_study(tmp_path: Path, backbone_folder: Path) -> Callable[..., Path]:
    """Writes a small study that plans on this machine, with other values at dotted places."""

    def write(changes: dict[str, Any] | None = None, name: str = "small.yaml") -> Path:
        path = tmp_path / name
        path.write_text(yaml.safe_dump(changed(SMALL, changes or {}), sort_keys=False))
        return path

    return write


class mounted:
    """A small disk of its own, or a skipped test where this machine does not allow one."""

    def __init__(self, place: Path, options: str) -> None:
        self.place, self.options = place, options

    def __enter__(self) -> Path:
        self.place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", self.options, "tmpfs", str(self.place)]
        try:
            made = subprocess.run(command, capture_output=True, text=True)
        except OSError as problem:
            pytest.skip(f"no mount here: {problem}")
        if made.returncode:
            pytest.skip(f"mounting a small disk is not allowed here: {made.stderr.strip()}")
        return self.place

    def __exit__(self, *problem: object) -> None:
        subprocess.run(["umount", str(self.place)], check=True)


@dataclass(frozen=True)
class Said:
    """What a command told, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def codedose(monkeypatch, capsys) -> Callable[..., Said]:
    """The program in this process, as a shell would start it."""

    def call(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["codedose", *map(str, words)])
        try:
            from codedose.cli import main

            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        told = capsys.readouterr()
        return Said(code, told.out, told.err)

    return call
