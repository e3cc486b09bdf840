"""Our readings against lm-eval's own filters and math-verify, on the same replies.

    .venv/bin/python benchmarks/readings.py [FILE] [--peers ENVIRONMENT] [--list OUT.tsv]

FILE is what `codedose score` takes: JSON lines or Parquet of task, question, answer, text (and forced_text, finish);
without it, the ugly replies of tests/ugly.py in which a careful person reads an answer, with that as the gold.
Prints, per task, how many replies each reader finds right and how often a reading and its nearest peer agree; --list
writes every reply on which they disagree, with an empty column `who` to fill by reading. No model is run.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import process_time

import polars as pl

from codedose.score import read_replies, score_replies
from codedose.tasks import task_named

PEER = Path(__file__).parent / "peers" / "read_with_lm_eval.py"
NEAREST = {  # peer -> the reading that means the same
    "gsm8k strict-match": "strict",
    "gsm8k_cot_zeroshot strict-match": "strict",
    "bbh strict-match": "strict",
    "gsm8k flexible-extract": "lenient",
    "bbh flexible-extract": "lenient",
    "math-verify": "lenient",
}
ROW = "{:<15}{:<34}{:<9}{:>8}{:>8}{:>8}{:>10}{:>10}{:>9}"
HEAD = ("task", "peer", "reading", "replies", "ours", "theirs", "only ours", "only peer", "agree")
SHOWN = 300  # characters of a reply, from its end


def ugly_replies() -> pl.DataFrame:
    """The hand-made replies of the tests, those that the reader is known to get wrong included."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from ugly import MISREAD, UGLY

    told = [(name, text, human[1]) for name, replies in UGLY.items() for text, human in replies.items()]
    told += [(name, text, human[1]) for name, text, human, _, _ in MISREAD]
    return pl.DataFrame(
        [{"task": name, "question": "?", "answer": gold, "text": text} for name, text, gold in told if gold is not None]
    )


def asked_of_peers(replies: pl.DataFrame) -> str:
    """The replies as lines for the peers, with what they must know of each task."""
    lines = []
    for reply in replies.iter_rows(named=True):
        task = task_named(reply["task"])
        told = {"text": reply["text"], "answer": reply["answer"], "answer_type": task.answer_type}
        lines.append(json.dumps(told | {"vocabulary": dict(task.vocabulary)}))
    return "\n".join(lines)


def peers_told(replies: pl.DataFrame, environment: Path) -> list[dict[str, list[object]]]:
    """What each peer reads in each reply, and whether it is right."""
    command = [str(environment / "bin" / "python"), str(PEER)]
    told = subprocess.run(command, input=asked_of_peers(replies), capture_output=True, text=True, check=True)
    return [json.loads(line) for line in told.stdout.splitlines()]


def side_by_side(replies: pl.DataFrame, peers: Sequence[dict[str, list[object]]]) -> pl.DataFrame:
    """One row per reply and peer: what both read, and whether each is right."""
    scored = score_replies(replies.with_row_index("place"))
    ours = {(row["place"], row["reading"]): row for row in scored.iter_rows(named=True)}
    return pl.DataFrame(list(rows_of(replies, peers, ours)), infer_schema_length=None)


def rows_of(replies, peers, ours) -> Iterator[dict[str, object]]:
    for place, (reply, told) in enumerate(zip(replies.iter_rows(named=True), peers, strict=True)):
        for peer, (found, right) in told.items():
            own = ours[place, NEAREST[peer]]
            yield {
                "task": reply["task"],
                "peer": peer,
                "reading": NEAREST[peer],
                "answer": reply["answer"],
                "ours": own["read"],
                "outcome": own["outcome"],
                "theirs": None if found is None else str(found),
                "ours_right": own["outcome"] == "right",
                "theirs_right": right,
                "who": "",
                "text": reply["text"][-SHOWN:],
            }


def agreement(rows: pl.DataFrame) -> list[tuple[object, ...]]:
    """A line per task, peer and reading."""
    ours, theirs = pl.col("ours_right"), pl.col("theirs_right")
    counted = rows.group_by("task", "peer", "reading", maintain_order=True).agg(
        pl.len().alias("replies"),
        ours.sum().alias("ours"),
        theirs.sum().alias("theirs"),
        (ours & ~theirs).sum().alias("only ours"),
        (~ours & theirs).sum().alias("only peer"),
        (ours == theirs).mean().alias("agree"),
    )
    return [(*row[:-1], f"{row[-1]:.1%}") for row in counted.sort("task", maintain_order=True).rows()]


def write_disagreements(rows: pl.DataFrame, out: Path) -> int:
    apart = rows.filter(pl.col("ours_right") != pl.col("theirs_right")).drop("ours_right")
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(apart.columns)
        writer.writerows(apart.rows())
    return apart.height


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?", help="replies, as for codedose score")
    parser.add_argument("--peers", type=Path, default=Path(".venv-readers"), help="their environment")
    parser.add_argument("--list", type=Path, help="where to write the disagreements")
    given = parser.parse_args()
    replies = read_replies(given.file) if given.file else ugly_replies()
    began = process_time()
    score_replies(replies)
    print(
        f"{len(replies):,} replies; ours: {1000 * (process_time() - began) / len(replies):.2f} ms a reply, all readings"
    )
    rows = side_by_side(replies, peers_told(replies, given.peers))
    print(ROW.format(*HEAD))
    for line in agreement(rows):
        print(ROW.format(*line))
    if given.list:
        print(f"{write_disagreements(rows, given.list):,} disagreements: {given.list}")


if __name__ == "__main__":
    main()
