"""What there is to choose from: tasks and backbones; and whether this machine is ready."""

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from codedose.backbone import BUILTIN
from codedose.backbone import missing as missing_backbone
from codedose.cache import cache_folder
from codedose.cli.show import as_json, as_table, plain
from codedose.runner.guard import found_clusters
from codedose.tasks import TASKS, task_named
from codedose.tasks.own import own_items, read_task, refuse_unreadable
from codedose.tasks.task import LEVELS, Task, chance
from codedose.tasks.twins import generated, space

if TYPE_CHECKING:
    import polars as pl

NEEDED = ("torch", "transformers", "polars", "pydantic", "scipy", "safetensors", "gguf", "peft", "google-re2")
ENOUGH_MEMORY, ENOUGH_DISK = 6e9, 5e9  # bytes, for the quickstart


def show_tasks(*, as_json_: bool) -> None:
    """The twelve tasks: domain, answer, what one constant answer gets at most at each level, source."""
    rows = [(task.name, task.domain, task.answer_type, chances(task), task.source) for task in TASKS]
    columns = ("task", "domain", "answer", "chance", "source")
    if as_json_:
        as_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        as_table("", columns, rows)


def chances(task: Task) -> str:
    """The chance level, or those of the four levels where they differ."""
    told = [f"{chance(task, level):.0%}" for level in LEVELS]
    return told[0] if len(set(told)) == 1 else " ".join(told)


def is_task_file(name: str) -> bool:
    """Whether this names a task file and no built-in task."""
    return name.endswith((".yaml", ".yml"))


def show_task(name: str, level: int, *, as_json_: bool) -> None:
    """One task: how it is asked, and three generated items of a level, or of its own."""
    own = is_task_file(name)
    task = read_task(Path(name)) if own else task_named(name)
    frame = examples_of(task) if own else generated(task, seed_name="examples", level=level, count=3)
    items = frame.select("question", "answer").to_dicts()
    told = {"task": task.name, "domain": task.domain, "source": task.source, "instruction": task.instruction}
    if not own:
        told |= {"chance": f"{chance(task, level):.1%}", "questions": str(space(task, level))}
    if as_json_:
        as_json({**told, "answer_format": task.answer_format, "level": None if own else level, "items": items})
        return
    print(plain(f"{task.name} ({task.domain}): {task.source}") + "\n")
    print(f"{plain(task.instruction)}\n{plain(task.answer_format)}\n")
    if not own:
        print(
            f"level {level}: {told['questions']} different questions; "
            f"one constant answer gets {told['chance']} right at most\n"
        )
    for item in items:
        print(f"{'' if own else f'level {level}: '}{plain(item['question'])}\n  gold: {plain(item['answer'])}\n")


def examples_of(task: Task) -> "pl.DataFrame":
    """Up to three items of a task of one's own, all of whose answers it can read."""
    items = own_items(Path(str(task.items)), task=task.name, domain=task.domain, count=None, seed_name="examples")
    refuse_unreadable(task, items, count=1)
    return items.head(3)


def show_backbones(*, as_json_: bool) -> None:
    """The built-in backbone, converted ones in the cache, and how to name others."""
    rows = [(BUILTIN, missing_backbone(BUILTIN, None) or "ready")]
    rows += [(str(folder), "converted from GGUF") for folder in sorted((cache_folder() / "backbones").glob("[!.]*"))]
    if as_json_:
        as_json([{"backbone": name, "state": state} for name, state in rows])
        return
    as_table("", ("backbone", "state"), rows)
    print("A study names a backbone as builtin:smollm2-135m, as a local folder in the transformers layout,")
    print("as a .gguf file, or as a hub id (owner/name) with its 40-digit revision.")


def examine(*, as_json_: bool) -> int:
    """Look at this machine; returns 0 when it is ready for the quickstart, else 4."""
    findings = [*packages(), *resources(), ("built-in backbone", *backbone()), *ray_clusters()]
    if as_json_:
        as_json([{"what": what, "found": found, "ok": ok} for what, found, ok in findings])
    else:
        as_table(
            "",
            ("what", "found", ""),
            [(what, plain(found), "ok" if ok else "NOT READY") for what, found, ok in findings],
        )
    return 0 if all(ok for _, _, ok in findings) else 4


def packages() -> list[tuple[str, str, bool]]:
    """Python and the packages that results rest on."""
    found: list[tuple[str, str, bool]] = [("python", platform.python_version(), True)]
    for name in NEEDED:
        try:
            found.append((name, version(name), True))
        except PackageNotFoundError:
            found.append((name, f"missing: 'make setup', or pip install {name}", False))
    return found


def resources() -> list[tuple[str, str, bool]]:
    """Cores, memory, disk and GPUs."""
    from codedose.cli.studies import available_cores, count_gpus

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    disk = shutil.disk_usage(Path.cwd()).free
    gpus = count_gpus()
    return [
        ("cores", str(available_cores()), True),
        ("memory", f"{memory / 1e9:.0f} GB", memory >= ENOUGH_MEMORY),
        ("free disk", f"{disk / 1e9:.0f} GB", disk >= ENOUGH_DISK),
        ("GPUs", str(gpus) if gpus else "none: everything runs on the CPU", True),
    ]


def backbone() -> tuple[str, bool]:
    lacking = missing_backbone(BUILTIN, None)
    return (lacking or "found", lacking is None)


def ray_clusters() -> list[tuple[str, str, bool]]:
    """The Ray clusters at hand, with a warning where one lets in whoever asks: this machine is ready all the same."""
    return [("Ray cluster", f"{address}: {told}", True) for address, told in found_clusters(os.environ)]
