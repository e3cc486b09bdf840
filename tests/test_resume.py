"""A killed run goes on with the same command, and its numbers are those of a run that nobody killed."""

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from conftest import SMALL, changed
from tiny import FAMILIES, write_backbone

COMMAND = [sys.executable, "-c", "from codedose.cli import main; main()"]
NUMBERS = ("pool", "label", "mix", "balance", "items", "generate", "score", "analyse")  # not seconds and provenance
KILLS = 4


def start(study: Path, store: Path) -> "subprocess.Popen[str]":
    command = [*COMMAND, "run", str(study), "--store", str(store), "--cores", "2", "--gpus", "0"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, env=os.environ
    )


def numbers(store: Path) -> dict[str, str]:
    """The digest of every table of results, by its place in the store."""
    files = sorted(file for kind in NUMBERS for file in (store / kind).glob("*/*.parquet"))
    assert files
    return {
        str(file.relative_to(store)): hashlib.sha256(pl.read_parquet(file).write_json().encode()).hexdigest()
        for file in files
    }


def started(store: Path) -> dict[str, str]:
    """When each finished step was begun: a step that ran again would say another time."""
    return {
        str(record.parent.relative_to(store)): json.loads(record.read_text())["started"]
        for record in store.glob("*/*/record.json")
    }


@pytest.mark.soak
def test_a_run_killed_at_random_moments_ends_with_the_same_numbers(tmp_path):
    write_backbone(tmp_path / "tiny", FAMILIES[0], layers=1, hidden=32)
    study = tmp_path / "study.yaml"
    study.write_text(json.dumps(changed(SMALL, {"keep_checkpoints": True, "tune.max_length": 512})))

    whole = start(study, tmp_path / "whole")
    began = time.monotonic()
    told, _ = whole.communicate(timeout=300)
    took = time.monotonic() - began
    assert whole.returncode == 0, told

    rng = random.Random(20535)
    store, kept, interrupted = tmp_path / "killed", {}, 0
    for _ in range(KILLS):
        run = start(study, store)
        time.sleep(rng.uniform(0.2, 0.6) * took)  # the moment of the kill, not a wait for something
        interrupted += run.poll() is None
        run.kill()  # nothing if it has ended; its children must die by themselves
        run.communicate(timeout=60)
        kept |= {folder: when for folder, when in started(store).items() if folder not in kept}
        assert {folder: when for folder, when in started(store).items() if folder in kept} == kept
    assert interrupted  # else nothing was tested
    last = start(study, store)
    told, _ = last.communicate(timeout=300)
    assert last.returncode == 0, told

    assert numbers(store) == numbers(tmp_path / "whole")
    assert kept.items() <= started(store).items()
    assert not list(store.glob("*/.draft-*"))
