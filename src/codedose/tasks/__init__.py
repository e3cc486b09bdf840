"""The twelve tasks, four per domain: TASKS, and the way to one by its name.

twins makes generated items, official reads official ones, own reads tasks of one's own, readings reads replies.
"""

import difflib
from collections.abc import Sequence

from codedose.errors import StudyError
from codedose.tasks.arithmetic import ARITHMETIC
from codedose.tasks.logical import LOGICAL
from codedose.tasks.symbolic import SYMBOLIC
from codedose.tasks.task import Task

TASKS: tuple[Task, ...] = (*SYMBOLIC, *LOGICAL, *ARITHMETIC)


def task_named(name: str, tasks: Sequence[Task] = TASKS) -> Task:
    """That one of the tasks; StudyError with the nearest known name if there is none."""
    names = [task.name for task in tasks]
    if name in names:
        return tasks[names.index(name)]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise StudyError(f"there is no task {name!r}; {hint}known tasks: {', '.join(names)}")
