"""What the deterministic steps write for fixed inputs, as digests: whatever writes something else needs a new version.

Where floating-point work decides (tune, generate, analyse), other machines may write other last digits: no digest.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import SMALL

from codedose import stages, tables
from codedose.plan import VERSIONS
from codedose.tables import Table
from codedose.tasks import TASKS
from codedose.tasks.task import LEVELS

GOLDEN = {
    "pool": (2, "72a438e77d2b6444"),
    "leaks": (1, "42aea41f8933bf71"),
    "exclude": (1, "7a0bef9d606cc8d8"),
    "label": (2, "0d8acfce7463fcfe"),
    "mix": (2, "9f0c7fae1b3a8fbd"),
    "balance": (2, "56f3b732deb89ee0"),
    "items": (2, "43d48614920ab32d"),
    "score": (3, "7c232c394f04a944"),
}

PYTHON = "```python\ndef area(w, h):\n    return w * h\n```"
CONVERSATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("coding", ("Write a function for the area.", f"Here it is:\n\n{PYTHON}\n\nCall it with two numbers.")),
    ("coding", ("What does `git rebase` do?", "It replays your commits on another base. Try `git rebase main`.")),
    ("coding", ("Why does this fail?\n\nx = [1, 2\nprint(x)", "A bracket is missing: `x = [1, 2]`.", "Ah!", "Yes.")),
    ("coding", ("SQL for all names?", "SELECT name FROM people ORDER BY name;")),
    ("math", ("What is 15% of 80?", "0.15 × 80 = 12.")),
    ("math", ("Solve 2x + 6 = 10.", "Subtract 6: 2x = 4, so x = 2.")),
    ("other", ("Why is the sky blue?", "Air scatters blue light more than red (Rayleigh).")),
    ("other", ("Ein Gedicht über Herbst?", "Die Blätter fallen, fallen wie von weit …")),
    ("other", ("Name three rivers.", "The Nile, the Rhine and the Volga.", "One more?", "The Loire.")),
    ("other", ("Plan my weekend", "Saturday: walk.\nSunday: read.\n\n- bring water\n- rest")),
)
REPLIES = (
    ("coin_flip", "yes", "Flipped twice, so as before.\nAnswer: yes", " yes.", "stop"),
    ("coin_flip", "no", "Yes, it is heads up. Wait, actually no.", "", "stop"),
    ("first_letters", "abc", "The letters are a, b and c.\nAnswer: abc", " abc", "stop"),
    ("reverse_list", "c, b, a", "Answer: c, b, a", " a, b, c", "stop"),
    ("clutrr", "aunt", "She is his mother's sister, so the answer is aunt", " his aunt.", "length"),
    ("prontoqa", "true", "Every cat is a feline ...", " True", "length"),
    ("gsm8k", "18", f"{PYTHON}\n\nSo 3 * 6 = 18 apples.\nAnswer: 18.0", " $18", "stop"),
    ("gsm8k", "1200", "The answer is 1,200", "", "length"),
    ("gsm8k", "7", "Answer: <number>", None, "stop"),
)
CELL = {
    "cell": "tiny/Code/d0/s0",
    "backbone": "tiny",
    "family": "Llama",
    "scale": 0.001,
    "arm": "Code",
    "share": 1.0,
    "draw": 0,
    "seed": 0,
}


def silent(done: int, of: int, note: str) -> None:
    """Nobody watches."""


def messages(turns: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(turns)]


def examples() -> pl.DataFrame:
    return tables.EXAMPLES.frame(
        [
            {
                "example_id": f"{place:04d}",
                "conversation_id": f"c{place}",
                "source": "here",
                "licence": "Apache-2.0",
                "position": place,
                "messages": messages(turns),
                "turns": len(turns),
                "chars": sum(map(len, turns)),
                "lang": None,
                "stated_label": label,
            }
            for place, (label, turns) in enumerate(CONVERSATIONS)
        ]
    )


def labelled() -> pl.DataFrame:
    return tables.LABELLED.frame(
        [
            {"example_id": f"{place:04d}", "label": label, "by": "hand", "confidence": None, "code_share": share}
            for place, (label, _) in enumerate(CONVERSATIONS)
            for share in [round(0.1 * place, 1) if label == "coding" else 0.0]
        ]
    )


def draws() -> pl.DataFrame:
    known = list(enumerate(CONVERSATIONS))
    arms = {"General": known[4:8], "Code": known[:4]}
    return tables.DRAWS.frame(
        [
            {
                "arm": arm,
                "draw": 0,
                "slot": slot,
                "example_id": f"{place:04d}",
                "label": label,
                "messages": messages(turns),
                "copy": 0,
            }
            for arm, members in arms.items()
            for slot, (place, (label, turns)) in enumerate(members)
        ]
    )


def filled(folder: Path, *frames: tuple[Table, pl.DataFrame]) -> Path:
    """A step's folder that holds these tables."""
    folder.mkdir()
    for table, frame in frames:
        stages.save(folder, table, frame)
    return folder


def pool_rows(home: Path) -> list[Path]:
    records = [{"id": f"c{n}", "messages": messages(turns)} for n, (_, turns) in enumerate(CONVERSATIONS)]
    records += [
        records[0],
        records[3],
        {"id": "empty", "messages": []},
        {"id": "only-a-request", "messages": messages(("Hello?",))},
    ]
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    (home / "pool.jsonl").write_text(text, encoding="utf-8")
    sources = [{"path": "pool.jsonl", "revision": None, "licence": "Apache-2.0"}]
    clean = {**SMALL["pool"]["clean"], "longest": 80}
    stages.pool_step([], home, progress=silent, sources=sources, clean=clean, folder=str(home), processes=1)
    return [home / f"{name}.parquet" for name in ("examples", "drops", "repairs", "sources")]


def leaks_rows(home: Path) -> list[Path]:
    """Two examples repeat items word for word; the others hold none."""
    (home / "made").mkdir()
    asked = {"task": "gsm8k", "level": 1, "count": 2, "seed_name": "golden"}
    stages.items_step([], home / "made", progress=silent, origin="generated", path=None, **asked)
    items = tables.read(home / "made" / "items.parquet", tables.ITEMS)
    told = [messages((question, "A sum.")) for question in items["question"]]
    leaky = examples().head(2).with_columns(pl.Series("messages", told, tables.MESSAGES))
    given = filled(home / "given", (tables.EXAMPLES, pl.concat([leaky, examples()[2:]])), (tables.ITEMS, items))
    stages.leaks_step([given], home, progress=silent)
    return [home / "leaks.parquet", home / "excluded.parquet"]


def exclude_rows(home: Path) -> list[Path]:
    stages.exclude_step([], home, progress=silent, excluded=("a", "b"))
    return [home / "excluded.parquet"]


def label_rows(home: Path) -> list[Path]:
    given = filled(home / "given", (tables.EXAMPLES, examples()))
    written = []
    for by in ("stated", "rules"):
        (home / by).mkdir()
        stages.label_step([given], home / by, progress=silent, by=by, llm=None, prices=None)
        written.append(home / by / "labels.parquet")
    return written


def mix_rows(home: Path) -> list[Path]:
    given = filled(home / "given", (tables.EXAMPLES, examples()), (tables.LABELLED, labelled()))
    written = []
    how = {"match_on": "examples", "design": "fixed", "budget": 4, "math": 1, "stratify": []}
    plain = {"step_size": 2, "counted": None, "tokenizer": None}
    for share, draw, control in (
        (0.0, 0, None),
        (0.5, 0, None),
        (1.0, 0, None),
        (0.5, 1, None),
        (0.5, 0, "no_comments"),
    ):
        out = home / f"{share}-{draw}-{control}"
        out.mkdir()
        arm = {"name": str(share), "share": share, "repeat": None, "control": control}
        stages.mix_step([given], out, progress=silent, arm=arm, how=how, draw=draw, **plain)
        written.append(out / "draws.parquet")
    return written


def balance_rows(home: Path) -> list[Path]:
    given = filled(home / "given", (tables.DRAWS, draws()), (tables.LABELLED, labelled()))
    shares = {"General": 0.0, "Code": 1.0}
    stages.balance_step([given], home, progress=silent, baseline="General", shares=shares, audit=None)
    return [home / "balance.parquet"]


def items_rows(home: Path) -> list[Path]:
    written = []
    for task in TASKS:
        for level in LEVELS:
            out = home / f"{task.name}-{level}"
            out.mkdir()
            asked = {"task": task.name, "level": level, "count": 2, "seed_name": "golden"}
            stages.items_step([], out, progress=silent, origin="generated", path=None, **asked)
            written.append(out / "items.parquet")
    return written


def score_rows(home: Path) -> list[Path]:
    domains = {task.name: task.domain for task in TASKS}
    items, completions = [], []
    for place, (task, answer, text, forced, finish) in enumerate(REPLIES):
        item = {"item_id": f"i{place}", "task": task, "domain": domains[task], "origin": "generated", "level": 1}
        items.append({**item, "cluster": f"i{place}", "question": f"Question {place}?", "answer": answer})
        reply = {"cell": CELL["cell"], "item_id": f"i{place}", "sample": 0, "prompt_hash": "0", "n_tokens": 9}
        completions.append({**reply, "text": text, "finish": finish, "forced_text": forced})
    own = draws().filter(pl.col("arm") == "Code")
    given = filled(
        home / "given",
        (tables.ITEMS, tables.ITEMS.frame(items)),
        (tables.COMPLETIONS, tables.COMPLETIONS.frame(completions)),
        (tables.DRAWS, own),
    )
    stages.score_step([given], home, progress=silent, cell=CELL, dose=True)
    return [home / "scores.parquet"]


WRITES: dict[str, Callable[[Path], list[Path]]] = {
    "pool": pool_rows,
    "leaks": leaks_rows,
    "exclude": exclude_rows,
    "label": label_rows,
    "mix": mix_rows,
    "balance": balance_rows,
    "items": items_rows,
    "score": score_rows,
}


def digest(files: list[Path]) -> str:
    """SHA-256 of the rows as canonical JSON; numbers to nine digits, which every machine agrees on."""
    rows = [[file.stem, pl.read_parquet(file).rows(named=True)] for file in files]
    text = json.dumps(rounded(rows), sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("kind", sorted(WRITES))
def test_a_step_that_writes_something_else_has_a_new_version(kind: str, tmp_path: Path):
    found = (VERSIONS[kind], digest(WRITES[kind](tmp_path)))
    assert found == GOLDEN[kind], (
        f"the {kind} step no longer writes what it wrote. If that is meant, bump VERSIONS[{kind!r}] in "
        f"src/codedose/plan.py, so that no store takes old results for new ones, and together with it "
        f"GOLDEN[{kind!r}] here: the new version and {found[1]!r}"
    )
