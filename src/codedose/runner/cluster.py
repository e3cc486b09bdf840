"""The Ray cluster of a run: one that is there, or one on this machine that ends with the run."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codedose.errors import MachineError, StudyError

TOKEN_FILE = "RAY_AUTH_TOKEN_PATH"  # noqa: S105 - the name of a variable
STORE_BYTES = 80 * 1024**2  # of Ray's object store, near the least that it takes: nothing of a step goes there
PATIENT = 60_000  # milliseconds: trainings on all cores may keep Ray from answering itself
SILENT: Mapping[str, Any] = {"log_to_driver": False, "configure_logging": False, "logging_level": "ERROR"}
LOOPBACK: Mapping[str, str] = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray 2.60 takes 127.0.0.1 for the address of the network, and then listens on all of them, unless it is told that
    # clusters of several machines are off, as they are by default on macOS (ray/_private/services.py)
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to; `folder` is what goes with one that was started here."""

    folder: Path | None = None

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes that live, as ray.nodes() has them."""
        import ray

        return [node for node in ray.nodes() if node["Alive"]]

    def leave(self) -> None:
        """Leave the cluster, and end it where it was started here."""
        import ray

        ray.shutdown()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def joined(address: str) -> Cluster:
    """The cluster at an address (host:port, or auto for that of this machine). Raises MachineError."""
    if address.startswith("ray://"):
        raise StudyError(
            f"--address {address}: Ray's client does not carry what a run needs; start codedose on a node of the "
            "cluster, with host:port or auto"
        )
    ray = found()
    if ray.is_initialized():
        return Cluster()
    try:
        ready(ray).init(address=address, **SILENT)
    except Exception as problem:
        first = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        raise MachineError(
            f"--address {address}: there is no Ray cluster that lets us in ({first}); where it asks for a token, set "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the file that holds it"
        ) from problem
    return Cluster()


def started(cores: int, gpus: int) -> Cluster:
    """A cluster of this machine alone: it listens on loopback, and only to those who know its token."""
    folder = Path(tempfile.mkdtemp(prefix="codedose-ray-"))
    token = folder / "token"
    with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    os.environ.pop("RAY_AUTH_TOKEN", None)
    os.environ |= {**LOOPBACK, TOKEN_FILE: str(token)}
    try:
        ready(found()).init(
            address="local",
            num_cpus=cores,
            num_gpus=gpus,
            object_store_memory=STORE_BYTES,
            include_dashboard=False,
            _system_config={"health_check_timeout_ms": PATIENT},
            _temp_dir=str(folder / "ray"),
            **SILENT,
        )
    except Exception as problem:
        shutil.rmtree(folder, ignore_errors=True)
        raise MachineError(f"Ray could not be started here: {problem}") from problem
    return Cluster(folder)


def ready(ray: Any) -> Any:
    """Ray, kept from printing on standard output what becomes of its nodes: a run tells what became of its steps.

    It reads RAY_AUTH_MODE and the token once in a process: after this it reads them as they are now.
    """
    ray._private.worker.print_to_stdstream = lambda *told, **how: None
    with suppress(AttributeError):  # a Ray that has neither
        ray._raylet.Config.initialize("")
        ray._raylet.AuthenticationTokenLoader.instance().reset_cache()
    return ray


def found() -> Any:
    """Ray, where it is installed."""
    try:
        import ray
    except ImportError:
        raise MachineError("--engine ray: Ray is not installed: pip install 'codedose[ray]'") from None
    return ray
