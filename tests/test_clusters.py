"""The recipes of docs/clusters.md, as far as one machine can try them: they parse, name what exists, and two start."""

import os
import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from test_docs import blocks, commands
from test_ray import PARTS, ray_alone
from toys import go, toy, until

from codedose.runner.ray import Rays
from codedose.runner.step import Where

PAGE = Path(__file__).parents[1] / "docs" / "clusters.md"
LOOPBACK_ONLY = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # where it is 0
RAY = [sys.executable, "-m", "ray.scripts.scripts"]


def lines() -> Iterator[str]:
    """Every command of the page: of its consoles, its scripts, and inside its YAML files."""
    for text in blocks(PAGE, "console", "bash"):
        yield from text.replace("\\\n", " ").splitlines()
    for value in values([yaml.safe_load(text) for text in blocks(PAGE, "yaml")]):
        yield from str(value).splitlines()


def values(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict | list):
        for inner in tree.values() if isinstance(tree, dict) else tree:
            yield from values(inner)
    else:
        yield tree


def called(name: str) -> list[list[str]]:
    """The calls of a program, from its name on; also where srun, or ray after two dashes, calls it."""
    found = []
    for line in lines():
        words = shlex.split(line.removeprefix("$ "), comments=True) if name in line else []
        starts = [at for at, word in enumerate(words) if word == name and (not at or words[at - 1] in ("srun", "--"))]
        found += [words[at:] for at in starts]
    return found


def options(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if word.startswith("--") and word != "--"}


def test_every_call_of_codedose_names_options_that_it_has():
    calls = called("codedose")
    assert len(calls) >= 8
    for _, name, *words in calls:
        known = {option for each in commands()[name].params for option in each.opts}
        assert options(words) <= known, words


def test_the_scripts_are_shell(tmp_path: Path):
    scripts = blocks(PAGE, "bash")
    assert len(scripts) == 2
    for text in scripts:
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
        assert set(re.findall(r"^#SBATCH (--[a-z-]+)=", text, re.MULTILINE)) >= {"--nodes", "--ntasks-per-node"}


def test_the_files_of_kuberay_and_skypilot_have_the_parts_that_these_ask_for():
    job, task = (yaml.safe_load(text) for text in blocks(PAGE, "yaml"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]["rayClusterSpec"]
    assert spec["authOptions"] == {"mode": "token"}
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        assert group["template"]["spec"]["containers"][0]["image"]
    assert {"name", "num_nodes", "resources", "setup", "run", "secrets"} <= task.keys()
    assert not any(task["secrets"].values()), "a secret is named, never written down"


@ray_alone
def test_every_call_of_ray_names_options_that_it_has():
    script = "from ray.scripts.scripts import cli\nfor name, each in cli.commands.items():\n"
    script += "    print(name, *(option for param in each.params for option in param.opts))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    known = {line.split()[0]: set(line.split()[1:]) for line in told.stdout.splitlines()}
    calls = called("ray")
    assert {name for _, name, *_ in calls} == {"get-auth-token", "start", "stop", "symmetric-run"}
    for _, name, *words in calls:
        own = words[: words.index("--")] if "--" in words else words
        assert options(own) <= known[name], words
    job = yaml.safe_load(blocks(PAGE, "yaml")[0])["spec"]["rayClusterSpec"]["headGroupSpec"]
    assert {f"--{name}" for name in job["rayStartParams"]} <= known["start"]


@pytest.fixture
def by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Two `ray start` on one machine, as the page has them for two hosts; the address of the first.

    Ray lets no second one join a cluster that is kept to loopback: these two listen to whoever knows their token.
    """
    token = tmp_path / "token"
    token.write_text(secrets.token_hex(32))
    for name, value in {**PARTS, LOOPBACK_ONLY: "1", "RAY_AUTH_TOKEN_PATH": str(token)}.items():
        monkeypatch.setenv(name, value)
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", paths)
    small = ["--num-cpus=1", "--num-gpus=1", "--object-store-memory=80000000", "--disable-usage-stats", "--block"]
    port = free_port()
    started = []
    try:
        for words in (["--head", f"--port={port}", "--include-dashboard=false"], [f"--address=127.0.0.1:{port}"]):
            started.append(subprocess.Popen([*RAY, "start", *words, *small], stdout=subprocess.DEVNULL))
            until(lambda: len(raylets(started)) == len(started), seconds=120)
        yield f"127.0.0.1:{port}"
    finally:
        ended = [each for process in started for each in psutil.Process(process.pid).children(recursive=True)]
        for process in reversed(started):  # a node whose head has gone waits half a minute for its word
            process.terminate()
            process.wait(60)
        for each in psutil.wait_procs(ended, timeout=10)[1]:
            each.kill()


def free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def raylets(started: list[subprocess.Popen[bytes]]) -> list[psutil.Process]:
    found = [each for process in started for each in psutil.Process(process.pid).children(recursive=True)]
    return [each for each in found if each.name() == "raylet"]


@ray_alone
@pytest.mark.long
def test_two_that_are_started_by_hand_do_what_is_sent_to_them(by_hand: str, tmp_path: Path):
    with Rays(by_hand, cores=1, gpus=None, patience=60) as engine:
        steps = [toy(f"{n}", where=Where(gpus=1)) for n in range(6)]
        outcome = go(tmp_path / "store", *steps, submit=engine.submit, slots=engine.slots)
        until(lambda: engine.slots().gpus == 2, seconds=60)
    assert (len(outcome.performed), outcome.failed) == (6, [])
