"""Steps as jobs: submitit's local executor stands in for the queue, and starts the same jobs."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from toys import contents, die, fail, go, labels, refuse, toy, trained, who, whoami

from codedose.runner import errand
from codedose.runner.slurm import Jobs, sizes
from codedose.runner.step import HALF, Where


@pytest.mark.parametrize(
    ("where", "size"),
    [
        (Where(), {"cpus_per_task": 1, "gpus_per_node": 0}),
        (Where(4, 2), {"cpus_per_task": 4, "gpus_per_node": 2}),
        (Where(1, HALF, memory=int(2e9)), {"cpus_per_task": 1, "gpus_per_node": 1, "mem_gb": 6}),
    ],
)
def test_a_job_is_as_large_as_its_step_and_has_whole_gpus(where, size):
    assert sizes(where) == size


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'codedose[slurm]'")
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", paths)
    with Jobs("local", tick=0.1) as jobs:
        yield jobs


@pytest.mark.long
def test_jobs_write_what_one_process_writes(engine: Jobs, tmp_path: Path):
    steps = trained("ask1", "ask2")
    assert sorted(labels(go(tmp_path / "jobs", *steps, submit=engine.submit).performed)) == sorted(labels(steps))
    go(tmp_path / "here", *steps)
    assert [contents(tmp_path / "jobs", step) for step in steps] == [
        contents(tmp_path / "here", step) for step in steps
    ]


@pytest.mark.long
def test_what_goes_wrong_in_a_job_is_told_as_elsewhere(engine: Jobs, tmp_path: Path):
    bad = toy("bad", do=fail, settings={"words": "what went wrong"})
    no, dead = toy("no", do=refuse), toy("dead", do=die, settings={"number": 11})
    outcome = go(tmp_path, bad, no, dead, submit=engine.submit)
    told = {failure.step.label: failure.reason for failure in outcome.failed}
    assert told["bad"] == "what went wrong"
    assert told["no"] == "the pool has 3 examples; the arm asks for 8"
    assert "SIGSEGV" in told["dead"]


@pytest.mark.long
def test_a_job_without_a_gpu_sees_none(engine: Jobs, tmp_path: Path):
    step = toy("a", do=whoami, where=Where(cores=2))
    assert go(tmp_path, step, submit=engine.submit).failed == []
    assert (who(tmp_path, step)["CUDA_VISIBLE_DEVICES"], who(tmp_path, step)["OMP_NUM_THREADS"]) == ("", "2")


@pytest.mark.long
def test_a_node_that_lacks_what_a_step_is_made_of_says_so(engine: Jobs, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(errand.__file__).parents[2]))  # without these tests
    (failure,) = go(tmp_path, toy("a"), submit=engine.submit).failed
    assert failure.kind == "configuration"
    assert "install the same on all nodes" in failure.reason
