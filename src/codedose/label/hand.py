"""Labelled examples -> a blind file for labelling by hand -> the hand labels, with what each stands for in the pool.

The file is a CSV that a spreadsheet opens: an opening of each conversation, an empty column `hand`, and no word
of the labeller's. Each row's ticket holds its stratum and how many examples of the pool it stands for, written
so that it does not tell the labels apart.
"""

import base64
import csv
import hashlib
import io
import math
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from codedose.errors import DataError, StudyError
from codedose.tables import LABELS

COLUMNS = ("example_id", "opening", "hand", "ticket")
BANDS = (0.7, 0.9)  # of confidence: unsure labels are few, and hold most of the errors
FEWEST = 2  # of a stratum, or all it has
LONGEST_OPENING = 30_000  # characters; a spreadsheet's cell holds 32,767
LARGEST_FILE = 200_000_000  # bytes

# What a spreadsheet runs as a formula, also in full width, and what it would turn into a number.
FORMULA = re.compile(r"\s*+(?:[=+\-@＝＋－＠']|[\d.,]+(?:[eE][\d+-]+)?\s*+$)")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

HAND = pl.Schema(
    {"example_id": pl.String, "hand": pl.String, "stratum": pl.Int64, "weight": pl.Float64, "row": pl.Int64}
)
TICKET = struct.Struct(">Bd")  # stratum and weight


def write_audit(
    examples: pl.DataFrame, labels: pl.DataFrame, path: Path, *, count: int, characters: int, name: str
) -> pl.DataFrame:
    """Write `count` examples for hand labelling to the CSV file `path`; returns the chosen ones as `choose` does.

    An opening has at most `characters` characters. Raises DataError when the file is there already, since
    hand labels may stand in it, and when labels and examples do not fit each other.
    """
    if not 1 <= characters <= LONGEST_OPENING:
        raise StudyError(f"an opening has 1 to {LONGEST_OPENING:,} characters, not {characters:,}")
    chosen = choose(labels, count, name=name)
    together = chosen.join(examples.select("example_id", "messages"), on="example_id", maintain_order="left")
    if together.height < chosen.height:
        raise DataError(f"{chosen.height - together.height} labelled examples are not among the examples")
    numbers = {name: number for number, name in enumerate(sorted(set(together["stratum"])))}
    rows = [
        (harmless(example_id), harmless(opening(messages, characters)), "", ticket(example_id, numbers[name], weight))
        for example_id, messages, name, weight in together.select(
            "example_id", "messages", "stratum", "weight"
        ).iter_rows()
    ]
    try:
        with path.open("x", encoding="utf-8-sig", newline="") as file:  # Excel knows UTF-8 by its signature
            writer = csv.writer(file, quoting=csv.QUOTE_ALL)
            writer.writerows([COLUMNS, *rows])
    except FileExistsError:
        raise DataError(f"{path}: is there already, perhaps with hand labels; name another file") from None
    except OSError as problem:
        raise DataError(f"{path}: cannot be written ({problem.strerror})") from problem
    return chosen


def choose(labels: pl.DataFrame, count: int, *, name: str) -> pl.DataFrame:
    """`count` examples, stratified by label and confidence: example_id, label, stratum, weight, in a random order.

    Each stratum gives a simple random sample that belongs to `name`, of a size in proportion to the square root of
    the stratum's (power allocation: M. D. Bankier, The American Statistician 42(3), 1988), so that rare labels are
    read often enough. `weight` is how many examples of the pool one stands for.
    """
    if count > labels.height:
        raise DataError(f"{count} examples to be labelled by hand are more than the {labels.height} that there are")
    ranks = [rank(name, example_id) for example_id in labels["example_id"]]
    ordered = labels.select("example_id", "label", stratum(), rank=pl.Series(ranks, dtype=pl.String)).sort("rank")
    sizes = dict(sorted(ordered.group_by("stratum").len().rows()))
    taken = allocate(count, sizes)
    counts = pl.DataFrame(
        {"stratum": list(sizes), "taken": list(taken.values()), "weight": [n / taken[s] for s, n in sizes.items()]},
        schema={"stratum": pl.String, "taken": pl.Int64, "weight": pl.Float64},
    )
    return (
        ordered.with_columns(place=pl.int_range(pl.len()).over("stratum"))
        .join(counts, on="stratum", maintain_order="left")
        .filter(pl.col("place") < pl.col("taken"))
        .select("example_id", "label", "stratum", "weight")
    )


def rank(name: str, example_id: str) -> str:
    """A fixed place in line for each example, whatever the order of the table."""
    return hashlib.sha256(f"audit/{name}/{example_id}".encode()).hexdigest()


def stratum() -> pl.Expr:
    """An example's stratum: its label, and the band of its confidence where it has one."""
    low, high = BANDS
    band = (
        pl.when(pl.col("confidence").is_null())
        .then(pl.lit(""))
        .when(pl.col("confidence") < low)
        .then(pl.lit(f" below {low}"))
        .when(pl.col("confidence") < high)
        .then(pl.lit(f" {low} to {high}"))
        .otherwise(pl.lit(f" from {high}"))
    )
    return pl.concat_str("label", band).alias("stratum")


def allocate(count: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """How many of each stratum: in proportion to the square root of its size, FEWEST at least, all at most."""
    taken = {name: min(size, FEWEST) for name, size in sizes.items()}
    if (least := sum(taken.values())) > count:
        raise DataError(f"{count} examples are too few to be labelled by hand: {len(sizes)} strata need {least}")
    for _ in range(count - least):  # Sainte-Laguë's divisors: whole numbers that sum to `count`
        room = (name for name in sizes if taken[name] < sizes[name])
        taken[max(room, key=lambda name: math.sqrt(sizes[name]) / (taken[name] + 0.5))] += 1
    return taken


def opening(messages: Sequence[Mapping[str, str]], characters: int) -> str:
    """The first characters of a conversation, without signs that a cell cannot hold."""
    text = "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)
    text = CONTROL.sub("", text[: characters + 1].replace("\r\n", "\n").replace("\r", "\n"))
    return text if len(text) <= characters else text[: characters - 1] + "…"


def harmless(cell: str) -> str:
    """A cell that a spreadsheet shows as it stands: an apostrophe before what it would run or take for a number."""
    return f"'{cell}" if FORMULA.match(cell) else cell


def ticket(example_id: str, stratum: int, weight: float) -> str:
    """A row's stratum and weight in letters that differ from row to row, with a check against damage."""
    plain = TICKET.pack(stratum, weight)
    check = hashlib.sha256(example_id.encode() + plain).digest()[:3]
    hidden = bytes(a ^ b for a, b in zip(plain + check, pad(example_id), strict=False))
    return "t" + base64.b32encode(hidden).decode().rstrip("=").lower()


def read_ticket(example_id: str, written: str) -> tuple[int, float] | None:
    """The stratum and the weight on a ticket; None for one that is damaged or belongs to another example."""
    try:
        hidden = base64.b32decode(written[1:].upper() + "====")
        plain = bytes(a ^ b for a, b in zip(hidden, pad(example_id), strict=False))
        stratum, weight = TICKET.unpack(plain[: TICKET.size])
    except (ValueError, struct.error):
        return None
    sound = math.isfinite(weight) and weight >= 1 and ticket(example_id, stratum, weight) == written
    return (stratum, weight) if sound else None


def pad(example_id: str) -> bytes:
    return hashlib.sha256(f"audit ticket/{example_id}".encode()).digest()


def read_audit(path: Path) -> pl.DataFrame:
    """A file of hand labels: example_id, hand (null where not filled in), stratum, weight, row (of the spreadsheet).

    Any CSV with the columns example_id and hand will do, as spreadsheets write it (comma, semicolon or tab);
    without tickets stratum and weight are null, and the examples of a label are taken for a random sample of it.
    Raises one DataError that names the rows that are wrong.
    """
    table = cells(path)
    head = [name.strip().lower() for name in next(table, [])]
    if "example_id" not in head or "hand" not in head:
        raise DataError(f"{path}: has no columns example_id and hand in its first row")
    rows: list[tuple[str, str | None, int | None, float | None, int]] = []
    wrong: dict[str, list[int]] = {}
    seen: set[str] = set()
    for number, row in enumerate(table, start=2):
        if not any(cell.strip() for cell in row):
            continue
        named = dict(zip(head, row, strict=False))
        example_id = named["example_id"].strip().removeprefix("'")
        hand = named.get("hand", "").strip().lower()
        on_ticket = read_ticket(example_id, named.get("ticket", "").strip())
        for problem, is_so in (
            ("without an example_id", not example_id),
            (f"with a label that is none of {', '.join(LABELS)}", hand not in ("", *LABELS)),
            ("with an example for the second time", example_id in seen),
            ("without the ticket that was made for it", "ticket" in head and on_ticket is None),
        ):
            if is_so:
                wrong.setdefault(problem, []).append(number)
        seen.add(example_id)
        rows.append((example_id, hand or None, *(on_ticket or (None, None)), number))
    if wrong:
        raise DataError(f"{path}: " + "; ".join(f"{at_rows(found)} {problem}" for problem, found in wrong.items()))
    return pl.DataFrame(rows, schema=HAND, orient="row")


def at_rows(found: Sequence[int]) -> str:
    """Rows of a spreadsheet as words: the first few, and how many there are."""
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return f"row{'s' if len(found) > 1 else ''} {', '.join(map(str, found[:5]))}{more}"


def cells(path: Path) -> Iterator[list[str]]:
    """The rows of a CSV file, whichever sign divides its cells; DataError for one that cannot be read."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"{path}: is larger than {LARGEST_FILE:,} bytes; it is no file of hand labels")
        told = path.read_bytes()
        # The columns that are read back are ASCII, so text in another encoding does no harm.
        text = told.decode("utf-16" if told[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace")
        first = text.partition("\n")[0]
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror})") from problem
    except csv.Error as problem:
        raise DataError(f"{path}: is not a CSV file ({problem})") from problem
