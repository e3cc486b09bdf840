"""The options that say where steps run, and the engine that they come to."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from codedose.errors import StudyError

if TYPE_CHECKING:
    from codedose.plan import Planner
    from codedose.runner.schedule import Slots, Submit

LOCAL, RAY, SLURM = ENGINES = ("local", "ray", "slurm")
PATIENCE = 30  # seconds: a node that comes back soon is waited for, and what no node can do is told within a minute
PANEL = "Where it runs (nothing of this changes a result)"
Engine = Annotated[
    str, typer.Option("--engine", help="local: this machine; ray: a cluster; slurm: jobs", rich_help_panel=PANEL)
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="of a Ray cluster, or auto for this machine's; default: RAY_ADDRESS, else one is started here",
        rich_help_panel=PANEL,
    ),
]
Patience = Annotated[
    int,
    typer.Option(
        "--wait-for-nodes",
        metavar="SECONDS",
        min=0,
        help="how long a step waits where no node is large enough for it",
        rich_help_panel=PANEL,
    ),
]


@dataclass(frozen=True)
class Asked:
    """Where a run is asked to be done."""

    engine: str = LOCAL
    address: str | None = None
    patience: int = PATIENCE
    gpus: int | None = None


HERE = Asked()


def asked_for(engine: str, address: str | None, patience: int, gpus: int | None) -> Asked:
    """The options together; StudyError names one that is wrong."""
    if engine not in ENGINES:
        raise StudyError(f"--engine {engine}: must be one of {', '.join(ENGINES)}")
    if address and engine != RAY:
        raise StudyError("--address goes with --engine ray")
    return Asked(engine, address or (os.environ.get("RAY_ADDRESS") if engine == RAY else None), patience, gpus)


def offered(asked: Asked, cores: int | None, gpus: int | None) -> tuple[int | None, int | None]:
    """The most cores of a step and all GPUs: as they were asked for, else what a cluster that is there has.

    Joins the cluster. None stands for what this machine has.
    """
    if asked.engine == SLURM and (cores is None or gpus is None):
        raise StudyError("--engine slurm: say with --cores and --gpus how much may be in use at once")
    if asked.engine != RAY or asked.address is None:
        return cores, gpus
    from codedose.runner.cluster import joined
    from codedose.runner.ray import together

    nodes = joined(asked.address).nodes()
    there = together(nodes)
    if there is None:
        return cores, gpus
    largest = int(max(node["Resources"].get("CPU", 0) for node in nodes))
    return cores or max(largest, 1), there.gpus if gpus is None else gpus


@contextmanager
def engine_of(asked: Asked, planner: "Planner") -> "Iterator[tuple[Submit, Slots | Callable[[], Slots]]]":
    """How steps are submitted while this lasts, and how many at once."""
    from codedose.runner.schedule import Slots

    slots = Slots(planner.cores, planner.gpus)
    if asked.engine == RAY:
        from codedose.runner.ray import Rays

        gpus = asked.gpus if asked.address else planner.gpus
        with Rays(asked.address, cores=planner.cores, gpus=gpus, patience=asked.patience) as rays:
            yield rays.submit, rays.slots
    elif asked.engine == SLURM:
        from codedose.runner.slurm import Jobs

        with Jobs() as jobs:
            yield jobs.submit, slots
    else:
        from codedose.runner.children import Children

        with Children(planner.gpus) as children:
            yield children.submit, slots
