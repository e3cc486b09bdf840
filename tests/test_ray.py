"""Steps on a Ray cluster: three nodes on this machine with pretended GPUs, and what kills nodes, workers and drivers.

Toy steps note where they ran and until when: whoever held a GPU together with another would be found.
"""

import hashlib
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest
import yaml
from conftest import SMALL, changed
from tiny import FAMILIES, write_backbone
from toys import Heard, contents, die, fail, go, hold, labels, leftovers, refuse, toy, until, who, whoami, written

from codedose.errors import StudyError
from codedose.runner.children import Children
from codedose.runner.cluster import joined
from codedose.runner.disk import Disk
from codedose.runner.lease import Leased, held
from codedose.runner.ray import Rays, shortage, together
from codedose.runner.schedule import Slots
from codedose.runner.step import HALF, Step, Where

ray_alone = pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", "import ray"], capture_output=True).returncode != 0,
    reason="Ray is not installed: pip install 'codedose[ray]'",
)
STEP = "ray::toy/"  # how the name of a Ray worker begins that does a step
# a machine that tests keep busy is not dead; one whose raylet is gone answers no question and is known by five
ALIVE = {"health_check_timeout_ms": 60_000, "health_check_period_ms": 1000}
CLUSTER = {"object_store_memory": 80 * 1024**2, "include_dashboard": False, "_system_config": ALIVE}
A_NODE = {"num_cpus": 2, "num_gpus": 2, "object_store_memory": 80 * 1024**2}
PARTS = {"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}

# Nodes as ray.nodes() has them: what fits where is decided without Ray


def node(cores: float, gpus: float = 0, memory: float = 8e9) -> dict[str, Any]:
    return {"Resources": {"CPU": cores, "memory": memory, **({"GPU": gpus} if gpus else {})}}


@pytest.mark.parametrize(
    ("where", "fits"),
    [
        (Where(), True),
        (Where(cores=4), True),
        (Where(cores=5), False),  # 6 in all, on no node at once
        (Where(gpus=2), True),
        (Where(gpus=HALF), True),
        (Where(gpus=3), False),
        (Where(cores=4, gpus=1), False),
        (Where(memory=int(7e9)), True),
        (Where(memory=int(9e9)), False),
    ],
)
def test_a_step_fits_where_one_node_has_all_of_it(where, fits):
    said = shortage(where, [node(4), node(2, gpus=2)])
    assert (said is None) == fits
    assert fits or "--wait-for-nodes" in str(said)


def test_a_cluster_without_nodes_has_room_for_nothing_and_keeps_its_slots():
    assert "no node at all" in str(shortage(Where(), []))
    assert together([]) is None
    assert together([node(4), node(2, gpus=2)]) == Slots(6, 2)


@pytest.mark.parametrize("gpus", [-1, 0.25, 0.75, 1.5])
def test_a_step_takes_half_a_gpu_or_whole_ones(gpus):
    with pytest.raises(ValueError, match="half"):
        Where(gpus=gpus)


# Toy steps that hold a GPU


def holding(name: str, journal: Path, *needs: Step, seconds: float = 0.3, **where: Any) -> Step:
    given = {"seconds": seconds, "journal": str(journal)}
    return toy(name, *needs, do=hold, settings={"name": name}, given=given, where=Where(**where))


def study(journal: Path, trainings: int, seconds: float = 0.3, name: str = "") -> list[Step]:
    """pool -> trainings on a GPU each -> two askings on half a GPU each -> report."""
    pool = holding(f"pool{name}", journal, seconds=0.1)
    tunes = [holding(f"tune{name}{n}", journal, pool, seconds=seconds, gpus=1, worker="x") for n in range(trainings)]
    asked = [
        holding(f"ask{name}{n}{part}", journal, tune, seconds=seconds, gpus=HALF, worker="y")
        for n, tune in enumerate(tunes)
        for part in "ab"
    ]
    return [pool, *tunes, *asked, holding(f"report{name}", journal, *asked, seconds=0.1)]


def used_twice(journal: Path, shares: Mapping[str, float]) -> list[tuple[str, ...]]:
    """The steps that held one GPU of one node at one moment, and together more than it."""
    notes = [json.loads(path.read_text()) for path in journal.glob("*.json")]
    held = [(note["node"], gpu, note) for note in notes for gpu in note["gpus"] if gpu]
    found = []
    for place in {each[:2] for each in held}:
        here = [note for *there, note in held if tuple(there) == place]
        for moment in (note["began"] for note in here):
            at_once = [note["name"] for note in here if note["began"] <= moment < note["ended"]]
            if sum(shares[name] for name in at_once) > 1:
                found.append(tuple(at_once))
    return found


def shares_of(steps: list[Step]) -> dict[str, float]:
    return {step.label: step.where.gpus for step in steps}


def test_the_check_finds_a_gpu_that_is_used_twice(tmp_path):
    for name, began in (("a", 0.0), ("b", 1.0), ("c", 3.0)):
        written(tmp_path / f"{name}.json", {"node": 1, "gpus": ["0"], "name": name, "began": began, "ended": began + 2})
    assert used_twice(tmp_path, {"a": 1, "b": 0.5, "c": 1}) == [("a", "b")]
    assert used_twice(tmp_path, {"a": 0.5, "b": 0.5, "c": 1}) == []


# The cluster of the tests


class Nodes:
    """Three nodes of two cores and two pretended GPUs, and a head without any that is never killed."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args={**CLUSTER, "num_cpus": 0, "num_gpus": 0})
        self.address = self.cluster.address
        self.workers = [self.cluster.add_node(**A_NODE) for _ in range(3)]

    def kill(self, place: int) -> None:
        """End a node at once, and put another in its place."""
        self.cluster.remove_node(self.workers.pop(place), allow_graceful=False)
        self.workers.append(self.cluster.add_node(**A_NODE))

    def processes(self) -> list[psutil.Process]:
        """Ray's workers on all nodes, and what they started."""
        mine = psutil.Process().children(recursive=True)
        raylets = [each for each in mine if named(each) == "raylet"]
        return [each for raylet in raylets for each in descendants(raylet)]


def is_ours(node: Any) -> bool:
    """Whether this process, as a driver, is connected to a node: it would die with it, which is another test."""
    import ray

    own = ray._private.worker.global_worker.node
    return own is not None and own._raylet_socket_name == node._raylet_socket_name


def descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def is_a_steps(process: psutil.Process) -> bool:
    """Whether a process is a Ray worker with a step, or what that started."""
    try:
        return process.name().startswith(STEP) or "multiprocessing" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def named(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A token for the clusters of these tests, on loopback; put back afterwards."""
    before = dict(os.environ)
    token = tmp_path_factory.mktemp("ray") / "token"
    token.write_text(secrets.token_hex(32))
    here = str(Path(__file__).parent)
    paths = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ |= {**PARTS, "RAY_AUTH_TOKEN_PATH": str(token), "PYTHONPATH": paths}
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def nodes(environment: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    made = Nodes(tmp_path_factory.mktemp("nodes"))
    yield made
    made.cluster.shutdown()


@pytest.fixture
def engine(nodes: Nodes) -> Iterator[Rays]:
    with Rays(nodes.address, cores=2, gpus=None, patience=5) as engine:
        yield engine


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    (tmp_path / "journal").mkdir()
    return tmp_path / "journal"


def whole(tmp_path: Path, steps: list[Step]) -> list[dict[str, str]]:
    """What the steps write in the local engine."""
    local = tmp_path / "local"
    with Children(gpus=2) as engine:
        assert go(local, *steps, submit=engine.submit, slots=Slots(2, 2)).failed == []
    return [contents(local, step) for step in steps]


def beyond(journal: Path) -> set[int]:
    """The processes that once did a step and still live."""
    return {pid for path in journal.glob("*.json") if psutil.pid_exists(pid := int(path.stem.split("-")[1]))}


class Havoc:
    """Kills nodes at random moments, and now and then a Ray worker. Ray starts nodes from the main thread only."""

    def __init__(self, nodes: Nodes, seed: int) -> None:
        self.nodes, self.chance = nodes, random.Random(seed)
        self.orphans: list[psutil.Process] = []
        self.workers = 0

    def kill_a_node(self) -> None:
        """Wait a moment, kill a node and bring another; remember what of ours outlives it by five seconds.

        Workers that Ray starts or keeps ready, and that were never given a step, are Ray's: they take some seconds
        more.
        """
        time.sleep(self.chance.uniform(0, 4))
        place = self.chance.choice([n for n, each in enumerate(self.nodes.workers) if not is_ours(each)])
        raylet = self.nodes.workers[place].all_processes["raylet"][0].process.pid
        doomed = [each for each in descendants(psutil.Process(raylet)) if is_a_steps(each)]
        self.nodes.kill(place)
        self.orphans += psutil.wait_procs(doomed, timeout=5)[1]

    def kill_a_worker(self) -> None:
        steps = [each for each in self.nodes.processes() if named(each).startswith(STEP)]
        if steps:
            self.chance.choice(steps).send_signal(signal.SIGKILL)
            self.workers += 1


class Batches(threading.Thread):
    """One small study after the other, until enough of them are done; the steps of all."""

    def __init__(self, root: Path, journal: Path, engine: Rays) -> None:
        super().__init__(daemon=True)
        self.root, self.journal, self.engine = root, journal, engine
        self.steps: list[Step] = []
        self.enough = threading.Event()
        self.problem: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.enough.is_set():
                batch = study(self.journal, 6, 1.0, name=f"{len(self.steps)}-")
                again_and_again(self.root, batch, self.engine)
                self.steps += batch
        except BaseException as problem:  # told where the thread is joined
            self.problem = problem


def again_and_again(root: Path, steps: list[Step], engine: Rays) -> int:
    """Give the same command until it has nothing left to tell of; how often it was given."""
    for times in range(1, 20):
        outcome = go(root, *steps, submit=engine.submit, slots=engine.slots)
        assert [failure.reason for failure in outcome.failed if "lost" not in failure.reason] == []
        if not outcome.failed:
            return times
    raise AssertionError("it never ends")


class Driver:
    """A run in a process of its own."""

    def __init__(self, root: Path, journal: Path, address: str) -> None:
        script = f"import test_ray; test_ray.main({str(root)!r}, {str(journal)!r}, {address!r})"
        self.process = subprocess.Popen([sys.executable, "-c", script])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def main(root: str, journal: str, address: str) -> None:
    """What the killed driver does."""
    Disk(root).prepare()
    with Rays(address, cores=2, gpus=None, patience=30) as engine:
        go(Path(root), *study(Path(journal), 12, 1.0), submit=engine.submit, slots=engine.slots)


# What a run is on a cluster


@ray_alone
@pytest.mark.long
class TestOnNodes:
    def test_three_nodes_write_what_one_process_writes(self, engine, root, journal, tmp_path):
        steps, heard = study(journal, 9), Heard()
        outcome = go(root, *steps, submit=engine.submit, slots=engine.slots, tell=heard)
        assert labels(failure.step for failure in outcome.failed) == []
        assert used_twice(journal, shares_of(steps)) == []
        assert len({json.loads(path.read_text())["node"] for path in journal.glob("*.json")}) == 3
        assert {name for name, *_ in heard.news} == set(labels(steps))
        assert [contents(root, step) for step in steps] == whole(tmp_path, steps)
        assert go(root, *steps, submit=engine.submit, slots=engine.slots).performed == []

    def test_a_step_sees_the_gpus_and_cores_that_are_its_own(self, engine, root):
        seen = {}
        for name, where in {"none": Where(), "half": Where(gpus=HALF), "two": Where(cores=2, gpus=2)}.items():
            step = toy(name, do=whoami, identity={"n": name}, where=where)
            assert go(root, step, submit=engine.submit).failed == []
            told = who(root, step)
            seen[name] = (len(list(filter(None, told["CUDA_VISIBLE_DEVICES"].split(",")))), told["OMP_NUM_THREADS"])
        assert seen == {"none": (0, "1"), "half": (1, "1"), "two": (2, "2")}

    def test_what_no_node_can_do_is_told_within_the_patience(self, engine, root):
        began = time.monotonic()
        (failure,) = go(root, toy("big", where=Where(gpus=3)), toy("well"), submit=engine.submit).failed
        assert "3 GPUs" in failure.reason
        assert "2 cores, 2 GPUs" in failure.reason
        assert time.monotonic() - began < 60
        assert Disk(root).is_done(toy("well"))

    def test_what_a_node_that_comes_later_can_do_waits_for_it(self, nodes, engine, root):
        engine.patience = 120
        engine.nodes()
        waiting = engine.submit(Disk(root), toy("late", where=Where(cores=5)), lambda *news: None)
        added = nodes.cluster.add_node(**{**A_NODE, "num_cpus": 5})
        waiting.result(timeout=120)
        nodes.cluster.remove_node(added)

    @pytest.mark.soak
    def test_ten_nodes_that_are_killed_cost_no_result(self, nodes, engine, root, journal, tmp_path):
        engine.patience = 120
        havoc, batches = Havoc(nodes, seed=7), Batches(root, journal, engine)
        engine.nodes()
        batches.start()
        try:
            for number in range(10):
                havoc.kill_a_node()
                if number % 3 == 2:  # about one a minute
                    havoc.kill_a_worker()
        finally:
            batches.enough.set()
            batches.join(600)
        steps = batches.steps
        assert (batches.problem, havoc.orphans) == (None, [])
        assert not batches.is_alive(), "the last batch has not ended"
        assert havoc.workers > 1
        assert used_twice(journal, shares_of(steps)) == []
        Disk(root).prepare()  # as the next command does: it sweeps away what killed attempts left
        assert leftovers(root) == []
        assert Disk(root).verify() == []
        assert [contents(root, step) for step in steps] == whole(tmp_path, steps)

    @pytest.mark.soak
    def test_the_same_command_goes_on_after_its_driver_was_killed(self, nodes, root, journal, tmp_path):
        steps = study(journal, 12, 1.0)
        driver = Driver(root, journal, nodes.address)
        until(lambda: sum(Disk(root).is_done(step) for step in steps) > 3, seconds=120)
        driver.kill()
        until(lambda: not beyond(journal), seconds=5)
        done = {step.label for step in steps if Disk(root).is_done(step)}
        ran = ran_of(journal)
        with Rays(nodes.address, cores=2, gpus=None, patience=30) as engine:
            again_and_again(root, steps, engine)
        assert done
        assert {name: times for name, times in ran.items() if name in done} == {
            name: times for name, times in ran_of(journal).items() if name in done
        }
        assert used_twice(journal, shares_of(steps)) == []
        assert [contents(root, step) for step in steps] == whole(tmp_path, steps)

    def test_a_surprise_comes_back_with_the_end_of_its_log(self, engine, root):
        (failure,) = go(root, toy("bad", do=fail, settings={"words": "what went wrong"}), submit=engine.submit).failed
        assert failure.reason == "what went wrong"
        assert "first words of the log" in failure.log
        (failure,) = go(root, toy("no", do=refuse), submit=engine.submit).failed
        assert failure.reason == "the pool has 3 examples; the arm asks for 8"

    def test_a_child_that_is_killed_is_told_as_the_local_engine_tells_it(self, engine, root):
        (failure,) = go(root, toy("dead", do=die, settings={"number": 9}), submit=engine.submit).failed
        assert "SIGKILL" in failure.reason

    def test_a_step_that_another_run_holds_is_left_to_it(self, engine, root):
        step, store = toy("a"), Disk(root)
        with held(store, step.folder, "another"), pytest.raises(Leased):
            engine.submit(store, step, lambda *news: None).result(timeout=60)
        assert not store.is_done(step)


def ran_of(journal: Path) -> dict[str, int]:
    """How often each step was begun."""
    return Counter(path.stem.rpartition("-")[0].rpartition("-")[0] for path in journal.glob("*.json"))


def test_an_address_where_nothing_is_is_one_clear_error():
    with pytest.raises(StudyError, match="ray://"):
        joined("ray://head:10001")


# A study from the command line, on a cluster of this machine that it starts by itself

MEASURED = ("seconds", "memory")  # of a training: what it took, not what it came to


@pytest.fixture(scope="module")
def tiny_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("study")
    write_backbone(home / "tiny", FAMILIES[0], layers=1, hidden=32)
    (home / "study.yaml").write_text(
        yaml.safe_dump(changed(SMALL, {"tune.max_length": 512, "mix.draws": 1, "tasks": SMALL["tasks"][:1]}))
    )
    return home / "study.yaml"


class Command:
    """`codedose run` in a process of its own; what listened while it ran, and who was there."""

    def __init__(self, study: Path, store: Path, *words: str) -> None:
        script = "from codedose.cli import main; main()"
        command = [sys.executable, "-c", script, "run", str(study), "--store", str(store), "--cores", "2", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.listeners: set[str] = set()
        self.there: set[psutil.Process] = set()

    def watched(self) -> tuple[int, str]:
        """Look at its processes until it ends: its exit code and what it said."""
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(self.process.stdout or ()))
        reader.start()
        while self.process.poll() is None:
            family = descendants(psutil.Process(self.process.pid))
            self.there |= set(family)
            self.listeners |= {place for each in family for place in listening(each)}
            time.sleep(1)
        reader.join()
        assert self.process.stdout
        self.process.stdout.close()
        return self.process.returncode, "".join(lines)


def listening(process: psutil.Process) -> set[str]:
    try:
        return {each.laddr.ip for each in process.net_connections("inet") if each.status == psutil.CONN_LISTEN}
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return set()


def folders_of_clusters() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("codedose-ray-*"))


def results(root: Path) -> dict[str, str]:
    """A digest of every table of a store, without what was measured of the machine."""
    found = {}
    for path in sorted(root.glob("*/*/*.parquet")):
        table = pl.read_parquet(path).drop(MEASURED, strict=False)
        found[str(path.relative_to(root))] = hashlib.sha256(table.write_ipc(None).getvalue()).hexdigest()
    return found


@ray_alone
@pytest.mark.long
def test_a_study_comes_to_the_same_tables_here_and_on_ray(tiny_study, tmp_path):
    before = folders_of_clusters()
    local = Command(tiny_study, tmp_path / "local").watched()
    on_ray = Command(tiny_study, tmp_path / "ray", "--engine", "ray")
    assert local[0] == 0, local[1]
    code, said = on_ray.watched()
    assert code == 0, said
    assert results(tmp_path / "local") == results(tmp_path / "ray")
    assert len(results(tmp_path / "ray")) > 20
    assert on_ray.listeners <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    assert on_ray.listeners
    assert psutil.wait_procs(on_ray.there, timeout=5)[1] == []
    assert folders_of_clusters() <= before
    code, said = Command(tiny_study, tmp_path / "ray", "--engine", "ray").watched()
    assert code == 0, said
    assert "steps to run" not in said or "0 steps" in said
