"""One step, done: inputs brought here, the work in a draft, the record last."""

import os
import time
from contextlib import ExitStack
from datetime import UTC, datetime

from codedose.runner.lease import held
from codedose.runner.record import record_of
from codedose.runner.secrets import redact, secret_values
from codedose.runner.step import Progress, Step
from codedose.runner.store import Store, new_attempt


def perform(store: Store, step: Step, progress: Progress) -> None:
    """Do one step, unless it is done. Its result appears whole, with its record, or not at all.

    Raises Leased where another worker is at it, Lacking where what it needs was freed or lost, and whatever the step
    itself raises.
    """
    if store.is_whole(step):
        return
    attempt = new_attempt()
    with held(store, step.folder, attempt) as lease:
        if store.is_whole(step):  # since we looked
            return
        if store.bring_back(step.folder) and store.is_whole(step):
            return
        parts = {each.folder for each in step.consumes if each.perishable}
        needed = store.all_here([each.folder for each in step.needs], parts)
        with ExitStack() as stack:
            draft = stack.enter_context(store.draft(step.folder, attempt))
            kept = {"scratch": stack.enter_context(store.scratch(step.folder))} if step.has_scratch else {}
            if step.shares:
                kept["shared"] = stack.enter_context(store.shared(step.shares))
            started, began = datetime.now(UTC), time.monotonic()
            step.do(needed, draft, progress=redacting(lease.telling(progress)), **step.settings, **step.given, **kept)
            seconds = time.monotonic() - began
            record = record_of(step, draft, attempt=attempt, started=started, seconds=seconds)
            store.commit(step.folder, draft, record)


def redacting(progress: Progress) -> Progress:
    """`progress`, told no secret of this process's environment: a lease repeats it where others read."""
    secrets = secret_values(os.environ)
    return lambda done, of, note: progress(done, of, redact(note, secrets))
