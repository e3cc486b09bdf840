"""Logs of other evaluation harnesses -> replies (task, question, answer, text, finish, sample), ready to be scored.

lm-eval    samples_<task>_<time>.jsonl, as `lm_eval run --log_samples` writes them (read against 0.4.13)
inspect    <time>_<task>_<id>.json or .eval, as inspect-ai writes them (read against 0.3.285); an .eval is a zip of JSON

Logs come from strangers: sizes are bounded, nothing is unpickled or executed, and what cannot be read is a DataError
that names the file and the place.
"""

import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from codedose.errors import DataError, StudyError
from codedose.tables import whole_signs
from codedose.tasks import TASKS, task_named
from codedose.tasks.readings import normal
from codedose.tasks.task import Task

REPLIES = {
    "task": pl.String,
    "question": pl.String,
    "answer": pl.String,
    "text": pl.String,
    "finish": pl.String,
    "sample": pl.Int64,
    "log": pl.String,
}

LONGEST_LINE = 50_000_000  # bytes of one sample
LARGEST_LOG = 2_000_000_000  # bytes of a log, unpacked
SAMPLES_FILE = re.compile(r"samples_(.+)_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?\.jsonl")
CUT_SHORT = ("max_tokens", "model_length")  # inspect's reasons to stop that mean a limit
ZSTANDARD = 93  # the method of inspect's zips, which Python before 3.14 does not unpack
LOCAL_HEADER = struct.Struct("<4s22xHH")  # of a zip entry: its mark, and how long the name and extra field are


def replies_of(paths: Sequence[Path], harness: str, task: str | None, tasks: Sequence[Task] = TASKS) -> pl.DataFrame:
    """The replies of all logs (REPLIES), each sample once. `task` is their task, one of `tasks`; None: as logs name it.

    Raises StudyError for an unknown harness, DataError for a log that is not what it should be.
    """
    readers = {"lm-eval": lm_eval_replies, "inspect": inspect_replies}
    if harness not in readers:
        raise StudyError(f"the logs of {' and '.join(readers)} can be read, not of {harness!r}")
    rows = [row for path in paths for row in readers[harness](path, task, tasks)]
    if not rows:
        raise DataError(f"{paths[0]}: holds no samples")
    return pl.DataFrame([whole_signs(row) for row in rows], schema=REPLIES)


def lm_eval_replies(path: Path, name: str | None, tasks: Sequence[Task]) -> Iterator[dict[str, object]]:
    """One row per document and repeat. The log holds each document once per filter, with the same replies."""
    found = SAMPLES_FILE.fullmatch(path.name)
    task = task_of(path, name or (found[1] if found else None), tasks)
    seen: dict[object, object] = {}
    for place, sample in json_lines(path):
        for field in ("doc_id", "doc", "target", "resps"):
            if field not in sample:
                raise DataError(f"{place}: has no {field!r}; it should be a line of lm_eval run --log_samples")
        if sample["doc_id"] not in seen:
            seen[sample["doc_id"]] = sample["resps"]
            yield from rows_of_document(path, place, task, sample)
        elif seen[sample["doc_id"]] != sample["resps"]:
            raise DataError(f"{place}: document {sample['doc_id']} has other replies above; give one run a file")


def rows_of_document(path: Path, place: str, task: Task, sample: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    told = {"task": task.name, "question": question_in(sample["doc"], place), "log": path.name}
    told["answer"] = gold_of(task, sample["target"], place)
    resps = sample["resps"]
    texts = resps[0] if isinstance(resps, list) and len(resps) == 1 and isinstance(resps[0], list) else None
    if texts is None or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{place}: its replies are not texts; only generate_until tasks can be read")
    for number, text in enumerate(texts):
        # lm-eval does not tell why a reply ended.
        yield {**told, "text": text, "finish": "stop", "sample": number}


def question_in(document: object, place: str) -> str:
    """The question of a benchmark's document, under the names that benchmarks use."""
    fields = document if isinstance(document, dict) else {}
    body = str(fields.get("body") or fields.get("Body") or "").strip()
    for name in ("question", "Question", "input", "problem"):
        if isinstance(fields.get(name), str) and fields[name].strip():
            return f"{body} {fields[name]}".strip()
    raise DataError(f"{place}: the document has no question, input or problem; it has {', '.join(map(str, fields))}")


def inspect_replies(path: Path, name: str | None, tasks: Sequence[Task]) -> Iterator[dict[str, object]]:
    """One row per sample and epoch. A sample that failed has no reply: DataError, never a wrong answer."""
    whole = zipped_log(path) if path.suffix == ".eval" else plain_log(path)
    header = next(whole)
    told = header.get("eval")
    stated = str(told.get("task") or "").rpartition("/")[2] if isinstance(told, dict) else None
    task = task_of(path, name or stated or None, tasks)
    for sample in whole:
        place = f"{path}: sample {sample.get('id')!r}, epoch {sample.get('epoch')!r}"
        if sample.get("error"):
            raise DataError(f"{place}: failed in the run, so it has no reply; run `inspect eval-retry` on the log")
        yield row_of_sample(path, place, task, sample)


def row_of_sample(path: Path, place: str, task: Task, sample: Mapping[str, Any]) -> dict[str, object]:
    try:
        choice = sample["output"]["choices"][0]
        text = text_of(choice["message"]["content"], sample)
        asked, epoch = sample["input"], sample["epoch"]
        if isinstance(asked, list):
            asked = [message["content"] for message in asked if message["role"] == "user"][-1]
        question = text_of(asked, sample).strip()
    except (KeyError, IndexError, TypeError) as problem:
        raise DataError(f"{place}: is no sample of an inspect log ({type(problem).__name__}: {problem})") from None
    if not question or not isinstance(epoch, int) or epoch < 1:
        raise DataError(f"{place}: has no question, or no epoch from 1")
    return {
        "task": task.name,
        "question": question,
        "answer": gold_of(task, sample.get("target"), place),
        "text": text,
        "finish": "length" if choice.get("stop_reason") in CUT_SHORT else "stop",
        "sample": epoch - 1,
        "log": path.name,
    }


def text_of(content: object, sample: Mapping[str, Any]) -> str:
    """A message's content as text: it may be parts, and stand among the sample's attachments."""
    if isinstance(content, list):
        return "".join(text_of(part["text"], sample) for part in content if part["type"] == "text")
    if not isinstance(content, str):
        raise TypeError(f"content is {type(content).__name__}")
    reference = content.removeprefix("attachment://")
    return content if reference == content else str(sample["attachments"][reference])


def gold_of(task: Task, target: object, place: str) -> str:
    """The target as one text; DataError where it is none, several that differ, or of another type than the task's."""
    golds = target if isinstance(target, list) else [target]
    if not golds or not all(isinstance(gold, str | int | float) and str(gold).strip() for gold in golds):
        raise DataError(f"{place}: its target is missing or no text: {str(target)[:60]!r}")
    try:
        meant = {normal(task, str(gold)) for gold in golds}
    except DataError as problem:
        raise DataError(f"{place}: {problem}") from None
    if len(meant) > 1:
        raise DataError(f"{place}: its targets differ ({', '.join(sorted(meant))}); an item has one answer")
    return str(golds[0])


def task_of(path: Path, name: str | None, tasks: Sequence[Task]) -> Task:
    if name is None:
        raise DataError(f"{path}: does not tell its task; say --task NAME")
    try:
        return task_named(name, tasks)
    except StudyError as problem:
        raise DataError(f"{path}: {problem}; say which it is with --task NAME") from None


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, object) of each line that is not empty."""
    number = 0
    with opened(path) as file:
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if line.strip():
                yield f"{path}: line {number}", object_in(line, f"{path}: line {number}")


def plain_log(path: Path) -> Iterator[dict[str, Any]]:
    """The header of a JSON log, then its samples."""
    with opened(path) as file:
        log = object_in(file.read(LARGEST_LOG + 1), str(path), most=LARGEST_LOG)
    yield log
    yield from samples_in(log.get("samples"), path)


def samples_in(samples: object, path: Path) -> Iterator[dict[str, Any]]:
    if not isinstance(samples, list) or not all(isinstance(sample, dict) for sample in samples):
        raise DataError(f"{path}: holds no samples; a log written with --no-log-samples cannot be scored")
    yield from samples


def zipped_log(path: Path) -> Iterator[dict[str, Any]]:
    """The header of an .eval log, then its samples in the order of their names."""
    left = LARGEST_LOG
    try:
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            header = entries.get("header.json") or entries.get("_journal/start.json")
            if header is None:
                raise DataError(f"{path}: is no inspect log; it has no header.json")
            names = sorted(name for name in entries if re.fullmatch(r"samples/[^/]+\.json", name))
            for entry in (header, *(entries[name] for name in names)):
                data = unpacked(file, archive, entry, min(left, LONGEST_LINE), path)
                left -= len(data)
                yield object_in(data, f"{path}: {entry.filename}")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as problem:
        raise DataError(f"{path}: cannot be unpacked ({problem})") from None


def unpacked(file: Any, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int, path: Path) -> bytes:
    """The bytes of an entry; DataError once there are more than `most`, whatever the entry claims."""
    if entry.compress_type == ZSTANDARD:
        data = from_zstandard(file, entry, most)
    else:
        with archive.open(entry) as stream:
            data = stream.read(most + 1)
    if len(data) > most:
        raise DataError(f"{path}: {entry.filename} unpacks to more than {most:,} bytes; that is no log of replies")
    return data


def from_zstandard(file: Any, entry: zipfile.ZipInfo, most: int) -> bytes:
    import zstandard

    file.seek(entry.header_offset)
    head = file.read(LOCAL_HEADER.size)
    if len(head) < LOCAL_HEADER.size or head[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"{entry.filename} does not stand where the directory says")
    _, name, extra = LOCAL_HEADER.unpack(head)
    file.seek(entry.header_offset + LOCAL_HEADER.size + name + extra)
    packed = file.read(min(entry.compress_size, LARGEST_LOG))
    try:
        with zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(packed) as stream:
            data: bytes = stream.read(most + 1)
    except zstandard.ZstdError as problem:
        raise zipfile.BadZipFile(f"{entry.filename}: {problem}") from None
    if len(data) <= most and zlib.crc32(data) != entry.CRC:
        raise zipfile.BadZipFile(f"{entry.filename}: its checksum is wrong")
    return data


def object_in(data: bytes, place: str, *, most: int = LONGEST_LINE) -> dict[str, Any]:
    if len(data) > most:
        raise DataError(f"{place}: is longer than {most:,} bytes")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{place}: is not JSON ({problem})") from None
    if not isinstance(found, dict):
        raise DataError(f"{place}: is not a JSON object")
    return found


def opened(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror})") from None
