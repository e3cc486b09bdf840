"""The log of a training -> trackers (accelerate.tracking), which can never stop, slow or spoil it.

They live in a thread of their own: what fails in them is told once, and what hangs is left behind.
"""

import threading
import warnings
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any

from codedose.keys import slug
from codedose.tune.means import Means

PATIENCE = 30.0  # seconds that trackers may still take when a training is done


class Tracking:
    """Told every step of one training; `close` ends it. Use it as a context."""

    def __init__(self, means: Means, *, run: str, settings: Mapping[str, Any], patience: float = PATIENCE) -> None:
        self.patience = patience
        self.listeners = [Listener(name, means, run, settings) for name in means.report_to]

    def __enter__(self) -> "Tracking":
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def log(self, row: Mapping[str, Any]) -> None:
        """A row of the log (tables.TRAINING without its cell)."""
        for listener in self.listeners:
            listener.rows.put(dict(row))

    def close(self) -> None:
        """Wait a moment for what is still to be written, and say which trackers failed."""
        for listener in self.listeners:
            listener.rows.put(None)
        for listener in self.listeners:
            listener.thread.join(self.patience)
            if listener.thread.is_alive():
                listener.problem = f"it was not done {self.patience:g} seconds after the training"
            if listener.problem:
                warnings.warn(f"{listener.name} did not track {listener.run}: {listener.problem}", stacklevel=3)


class Listener:
    """One tracker in its thread."""

    def __init__(self, name: str, means: Means, run: str, settings: Mapping[str, Any]) -> None:
        self.name, self.run, self.problem = name, run, ""
        self.rows: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self.thread = threading.Thread(target=self.listen, args=(means, dict(settings)), daemon=True)
        self.thread.start()

    def listen(self, means: Means, settings: dict[str, Any]) -> None:
        try:
            tracker = begun(self.name, means, self.run)
            tracker.store_init_configuration(settings)
            while (row := self.rows.get()) is not None:
                tracker.log(row, step=row["step"])
            tracker.finish()
        except (Exception, SystemExit) as problem:  # whatever a tracker does, the training goes on
            self.problem = f"{type(problem).__name__}: {problem}"


def begun(name: str, means: Means, run: str) -> Any:
    """A tracker that has begun; the study is its project, the cell its run."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS as CLASSES

    how: dict[str, Callable[[], Any]] = {
        "tensorboard": lambda: CLASSES[name](f"{slug(means.project)}/{slug(run)}", logging_dir=means.folder),
        "wandb": lambda: CLASSES[name](means.project, name=run, dir=means.folder),
        "trackio": lambda: CLASSES[name](means.project, name=run),
        "mlflow": lambda: CLASSES[name](means.project, run_name=run),
    }
    tracker = how[name]()
    tracker.start()
    return tracker
