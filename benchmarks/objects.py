"""How many requests a store behind a URL is asked for one step, and for the listings: counted at the HTTP client.

    .venv/bin/python benchmarks/objects.py

Against moto's S3 server on loopback. Steps of the shapes of a study: a training that leaves a checkpoint, a task that
reads it, its items and its draw, scores of twelve tasks. Prints a table for docs/scale.md. Times are moto's, in Python.
"""

import logging
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from codedose.runner.perform import perform
from codedose.runner.remote import Remote
from codedose.runner.step import Step

BUCKET = "machinery"


def leave(inputs: list[Path], out: Path, *, progress: Callable[[int, int, str], None], name: str, part: bool) -> None:
    """A table, and a checkpoint of three files where asked."""
    (out / "table.parquet").write_text(name)
    if part:
        (out / "checkpoint").mkdir()
        for file in ("config.json", "model.safetensors", "tokenizer.json"):
            (out / "checkpoint" / file).write_text(name)


def step_of(kind: str, name: str, *needs: Step, part: bool = False, consumes: tuple[Step, ...] = ()) -> Step:
    return Step(
        kind, name, leave, 1, {"name": name, "part": part}, needs, perishable="checkpoint" if part else None,
        consumes=consumes,
    )  # fmt: skip


def study() -> list[Step]:
    """One cell, with what it rests on."""
    pool = step_of("pool", "pool")
    items = [step_of("items", f"task-{n}", pool) for n in range(12)]
    mix = step_of("mix", "arm-d0", pool)
    tune = step_of("tune", "cell", mix, part=True)
    asked = [step_of("generate", f"cell-{n}", each, tune, consumes=(tune,)) for n, each in enumerate(items)]
    score = step_of("score", "cell", *asked, *items, mix)
    return [pool, *items, mix, tune, *asked, score]


@contextmanager
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    os.environ |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    there = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    there.start()
    try:
        host, port = there.get_host_and_port()
        os.environ["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
        yield os.environ["AWS_ENDPOINT_URL"]
    finally:
        there.stop()


def counted(store: Remote) -> Counter[str]:
    """Counts the requests of a store from now on, by S3's name for them."""
    found: Counter[str] = Counter()
    fs: Any = store.at.opened[0]
    fs.connect()

    def count(model: Any, **more: Any) -> None:
        found[model.name] += 1

    fs.s3.meta.events.register("before-call.s3", count)
    return found


def tell(what: str, found: Counter[str], seconds: float) -> None:
    told = ", ".join(f"{count} {name}" for name, count in sorted(found.items()))
    print(f"| {what} | {sum(found.values())} | {told} | {1e3 * seconds:.0f} |")
    found.clear()


def main() -> None:
    with tempfile.TemporaryDirectory() as cache, server():
        os.environ["CODEDOSE_CACHE"] = cache
        store = Remote(f"s3://{BUCKET}/store")
        store.at.opened[0].mkdir(BUCKET)
        found = counted(store)
        print("| what | requests | of these | ms |\n|---|---|---|---|")
        seen = Counter[str]()
        for step in study():
            began = time.monotonic()
            perform(store, step, lambda *news: None)
            took = time.monotonic() - began
            seen[step.kind] += 1
            if step.kind in ("pool", "tune", "score") or seen[step.kind] == 2:
                tell(f"{step.kind}, {len(step.needs)} needs", found, took)
            found.clear()
        for what, do in (
            ("list what is finished", store.finished),
            ("release a checkpoint", lambda: store.release(study()[14])),
            ("who is at work", store.leases),
            ("a sign of life", lambda: (store.read("leases/x.json"), store.write("leases/x.json", b"{}"))),
        ):
            began = time.monotonic()
            do()
            tell(what, found, time.monotonic() - began)


if __name__ == "__main__":
    main()
