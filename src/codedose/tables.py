"""The tables that flow from stage to stage: their columns, their types, and the check at every door."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from codedose.errors import DataError

READINGS = ("strict", "lenient", "forced")
LABELS = ("coding", "math", "other")
DOMAINS = ("symbolic", "logical", "arithmetic")
VIEWS = ("overall", "domain", "task")
# What a row of effects estimates, in percentage points where nothing else is said.
DIFFERENCE = "difference"  # arm minus arm, tested over draws
TREND = "trend"  # coefficient of a polynomial over shares
BEST = "best share"  # in %
AGREEMENT = "agreement"  # of backbones: a share in %, a coefficient, or points per tenfold scale
BOOTSTRAP = "bootstrap"  # the same difference with a hierarchical bootstrap interval
RELATIVE = "relative"  # the same difference in % of what it is compared with
NOISE = "noise"  # standard error of the same difference from items alone, or from draws alone
CONTROL = "control"  # two draws of the same arm against each other (A/A)
MODEL = "model"  # coefficient of the mixed logistic model, in log odds
EFFECT_KINDS = (DIFFERENCE, TREND, BEST, AGREEMENT, BOOTSTRAP, RELATIVE, NOISE, CONTROL, MODEL)
THESE_ITEMS, NEW_ITEMS = "these items", "new items of the same kind"  # estimands: always over new draws
UNTUNED = "untuned"
LARGE_SMD = 0.1  # |SMD| from which two groups are usually called unbalanced (Austin 2009)
DOSE = ("share_coding", "share", "code_share", "dose", "changed")  # quantities that are meant to differ between arms

MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))


@dataclass(frozen=True)
class Table:
    """One kind of table. `columns` maps name to type; `nullable` names the columns that may be empty."""

    name: str
    columns: Mapping[str, pl.DataType | type[pl.DataType]]
    nullable: frozenset[str] = frozenset()

    @property
    def schema(self) -> pl.Schema:
        return pl.Schema(dict(self.columns))

    def frame(self, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
        """`rows` (a list of mappings with these columns) as a checked frame, also when there are none."""
        return check(pl.DataFrame(rows, schema=self.schema), self)


EXAMPLES = Table(
    "examples",
    {
        "example_id": pl.String,  # hash of the normalised text
        "conversation_id": pl.String,
        "source": pl.String,
        "licence": pl.String,
        "position": pl.Int64,  # place in its source, from 0
        "messages": MESSAGES,
        "turns": pl.Int64,
        "chars": pl.Int64,
        "lang": pl.String,
        "stated_label": pl.String,  # the label the source itself gives, if it gives one
    },
    frozenset({"lang", "stated_label"}),
)

DROPS = Table("drops", {"source": pl.String, "reference": pl.String, "reason": pl.String})

# What a rule changed in a conversation that stayed: how many places.
REPAIRS = Table("repairs", {"source": pl.String, "reference": pl.String, "rule": pl.String, "count": pl.Int64})

# One row is a format that was found in a source. records = conversations + joined + unread.
SOURCES = Table(
    "sources",
    {
        "source": pl.String,
        "licence": pl.String,
        "format": pl.String,
        "records": pl.Int64,
        "conversations": pl.Int64,
        "joined": pl.Int64,  # records that were chunks of an earlier one
        "unread": pl.Int64,
    },
)

# One row is an example that contains a benchmark item.
LEAKS = Table(
    "leaks",
    {
        "example_id": pl.String,
        "task": pl.String,
        "item_id": pl.String,
        "origin": pl.String,
        "match": pl.String,  # 13-gram, coverage (of 8-grams) or whole (an item shorter than the window)
        "coverage": pl.Float64,  # share of the item's own 8-grams (whole: 1) found in the example
    },
)

EXCLUDED = Table("excluded", {"example_id": pl.String})

LABELLED = Table(
    "labels",
    {
        "example_id": pl.String,
        "label": pl.String,
        "by": pl.String,
        "confidence": pl.Float64,
        "code_share": pl.Float64,  # share of the characters that stand in code
    },
    frozenset({"confidence"}),
)

DRAWS = Table(
    "draws",
    {
        "arm": pl.String,
        "draw": pl.Int64,
        "slot": pl.Int64,
        "step": pl.Int64,  # under token matching the optimiser step that takes it in, from 0; else null: any
        "example_id": pl.String,
        "copy": pl.Int64,  # 0; from 1 where the arm repeats an example
        "label": pl.String,
        "messages": MESSAGES,
        "tokens": pl.Int64,  # by the study's reference tokenizer, as trained
        "loss_tokens": pl.Int64,
    },
    frozenset({"step", "tokens", "loss_tokens"}),
)

# Examples that no arm trains on, to measure the loss on.
HELD_OUT = Table("held_out", {"example_id": pl.String, "label": pl.String, "messages": MESSAGES})

BALANCE = Table(
    "balance",
    {
        "arm": pl.String,
        "draw": pl.Int64,
        "quantity": pl.String,
        "mean": pl.Float64,
        "sd": pl.Float64,
        "smd": pl.Float64,  # standardised mean difference from the baseline arm of the same draw
        "n": pl.Int64,
    },
    frozenset({"sd", "smd"}),
)

# What a backbone's tokenizer makes of the arms before anything is trained; tokens are counted before the cut.
LENGTHS = Table(
    "lengths",
    {
        "backbone": pl.String,
        "arm": pl.String,
        "draw": pl.Int64,
        "examples": pl.Int64,
        "cut": pl.Int64,  # examples longer than the limit
        "tokens": pl.Int64,
        "tokens_cut": pl.Int64,  # cut off from them
        "loss_tokens": pl.Int64,
        "loss_tokens_cut": pl.Int64,
    },
)

ITEMS = Table(
    "items",
    {
        "item_id": pl.String,
        "task": pl.String,
        "domain": pl.String,
        "origin": pl.String,  # official or generated
        "level": pl.Int64,
        "cluster": pl.String,
        "question": pl.String,
        "answer": pl.String,
    },
    frozenset({"level"}),
)

TRAINING = Table(
    "training",
    {
        "cell": pl.String,
        "step": pl.Int64,  # from 1
        "loss": pl.Float64,  # before the step, in nats per loss-bearing token
        "learning_rate": pl.Float64,
        "grad_norm": pl.Float64,
        "tokens": pl.Int64,
        "loss_tokens": pl.Int64,
        "seconds": pl.Float64,
        "memory": pl.Int64,  # bytes at most held so far: of the GPU, or of the whole process
    },
)

# One row is the loss of one cell on the held-out examples of one label.
LOSSES = Table(
    "losses",
    {
        "cell": pl.String,
        "label": pl.String,
        "examples": pl.Int64,  # whose loss was measured
        "cut": pl.Int64,  # of them, longer than tune.max_length and cut as in training
        "left_out": pl.Int64,  # others, whose request alone is as long: nothing in them can be predicted
        "tokens": pl.Int64,  # that bear loss
        "loss": pl.Float64,  # nats per loss-bearing token; null where no example is left
    },
    frozenset({"loss"}),
)

COMPLETIONS = Table(
    "completions",
    {
        "cell": pl.String,
        "item_id": pl.String,
        "sample": pl.Int64,
        "prompt_hash": pl.String,
        "text": pl.String,
        "n_tokens": pl.Int64,
        "finish": pl.String,  # stop or length
        "forced_text": pl.String,
    },
    frozenset({"forced_text"}),
)

SCORES = Table(
    "scores",
    {
        "cell": pl.String,
        "backbone": pl.String,
        "family": pl.String,
        "scale": pl.Float64,  # billions of parameters
        "arm": pl.String,
        "share": pl.Float64,
        "measured_dose": pl.Float64,
        "draw": pl.Int64,
        "seed": pl.Int64,
        "task": pl.String,
        "domain": pl.String,
        "origin": pl.String,
        "level": pl.Int64,
        "item_id": pl.String,
        "cluster": pl.String,
        "sample": pl.Int64,
        "reading": pl.String,
        "outcome": pl.String,
        "in_code": pl.Boolean,
    },
    frozenset({"share", "measured_dose", "draw", "seed", "level"}),
)

ACCURACIES = Table(
    "accuracies",
    {
        "view": pl.String,  # overall, domain or task
        "of": pl.String,  # the domain's or task's name; "all" for overall
        "family": pl.String,
        "backbone": pl.String,  # null: pooled over backbones
        "arm": pl.String,
        "share": pl.Float64,
        "draw": pl.Int64,  # null: over all draws
        "seed": pl.Int64,
        "reading": pl.String,
        "accuracy": pl.Float64,  # 0 to 1
        "low": pl.Float64,
        "high": pl.Float64,
        "method": pl.String,
        "answered": pl.Float64,  # share of replies with an answer under this reading (extraction rate)
        "truncated": pl.Float64,
        "in_code": pl.Float64,
        "n_items": pl.Int64,
        "n_draws": pl.Int64,
    },
    frozenset({"family", "backbone", "share", "draw", "seed", "low", "high"}),
)

EFFECTS = Table(
    "effects",
    {
        "view": pl.String,
        "of": pl.String,
        "family": pl.String,
        "backbone": pl.String,
        "contrast": pl.String,  # "Code - General"
        "kind": pl.String,  # one of EFFECT_KINDS: what the estimate is
        "estimand": pl.String,  # "these items" or "new items of the same kind": what the interval is about
        "reading": pl.String,
        "estimate": pl.Float64,  # percentage points, where the kind says nothing else
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,
        "p_adjusted": pl.Float64,
        "method": pl.String,
        "n_items": pl.Int64,
        "n_draws": pl.Int64,
        "n_runs": pl.Int64,
        "note": pl.String,
    },
    frozenset({"family", "backbone", "estimand", "estimate", "low", "high", "p", "p_adjusted"}),
)

# One row is one point of a fitted curve over shares (a prediction where no arm has that share).
CURVES = Table(
    "curves",
    {
        "view": pl.String,
        "of": pl.String,
        "family": pl.String,
        "backbone": pl.String,  # null: pooled over backbones
        "reading": pl.String,
        "share": pl.Float64,  # 0 to 1
        "estimate": pl.Float64,  # accuracy, 0 to 1
        "low": pl.Float64,  # limits of the curve over draws
        "high": pl.Float64,
        "method": pl.String,  # quadratic or spline, and how it was chosen
        "error": pl.Float64,  # of prediction, in percentage points: root mean square over shares left out; null unknown
    },
    frozenset({"family", "backbone", "low", "high", "error"}),
)


def whole_signs(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with ? for half surrogate pairs, which JSON can hold and no table can."""
    return {
        name: cell.encode("utf-8", "replace").decode() if isinstance(cell, str) else cell for name, cell in row.items()
    }


def check(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """`frame` with the columns of `table`, in its order; others are left out.

    Raises DataError that names the table and the column: one that is missing, has another type,
    or is empty where it must not be.
    """
    missing = [name for name in table.columns if name not in frame.columns]
    if missing:
        raise DataError(f"the {table.name} table lacks the column(s) {', '.join(missing)}; it has {frame.columns}")
    frame = frame.select(list(table.columns))
    for name, wanted in table.columns.items():
        found = frame.schema[name]
        if (found == pl.Null and name in table.nullable) or (found != wanted and frame.is_empty()):
            frame = frame.with_columns(pl.col(name).cast(wanted))
        elif found != wanted:
            raise DataError(f"the {table.name} table's column {name!r} holds {found}, not {wanted}")
        if name not in table.nullable and frame[name].null_count():
            raise DataError(f"the {table.name} table's column {name!r} is empty in {frame[name].null_count()} rows")
    return frame


def read(path: Path, table: Table) -> pl.DataFrame:
    """The checked table in a Parquet file; DataError names the file when it is not one."""
    try:
        return check(pl.read_parquet(path, glob=False), table)  # a folder's name may hold brackets
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as problem:
        raise DataError(f"{path}: cannot be read as a Parquet file ({problem})") from problem
    except DataError as problem:
        raise DataError(f"{path}: {problem}") from problem


def batches(path: Path, table: Table) -> Iterator[pl.DataFrame]:
    """The checked table in a Parquet file, one row group at a time, for tables that need not fit into memory."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                yield check(pl.DataFrame(file.read_row_group(group)), table)
    except (FileNotFoundError, OSError, ValueError) as problem:
        raise DataError(f"{path}: cannot be read as a Parquet file ({problem})") from problem


def write(frame: pl.DataFrame, path: Path, table: Table) -> None:
    """Write the checked frame as Parquet: the same rows give the same bytes. DataError names a file that cannot be."""
    whole = check(frame, table)
    try:
        whole.write_parquet(path, compression="zstd", statistics=False)
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise DataError(f"{path}: cannot be written ({problem})") from problem
