"""The label stage on plain files: labels by one of four labellers, and their audit by hand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codedose.cli.show import AsJson, Out, say, say_progress
from codedose.errors import StudyError

if TYPE_CHECKING:
    import polars as pl

    from codedose.study import Endpoint

LABELLERS = ("stated", "rules", "model", "llm")
SHOWN = 1500  # characters of an opening in an audit file
STORIES = (0.25, 0.5, 0.75, 1.0)  # nominal shares whose true share an audit tells


def label(
    examples: Annotated[Path, typer.Argument(metavar="EXAMPLES", help="examples.parquet")],
    by: Annotated[str, typer.Option(help="stated, rules, model or llm")],
    out: Out,
    audit: Annotated[int | None, typer.Option(min=1, help="write so many examples to OUT's audit.csv")] = None,
    audited: Annotated[Path | None, typer.Option(help="an audit.csv filled in by hand: how good are they")] = None,
    url: Annotated[str | None, typer.Option(help="llm: the endpoint, such as http://127.0.0.1:8000/v1")] = None,
    model: Annotated[str | None, typer.Option(help="llm: the model's name there")] = None,
    dollars_in: Annotated[float, typer.Option(min=0, help="llm: price of a million tokens sent")] = 0.0,
    dollars_out: Annotated[float, typer.Option(min=0, help="llm: price of a million tokens received")] = 0.0,
    concurrency: Annotated[int, typer.Option(min=1, help="llm: questions under way at once")] = 8,
    per_minute: Annotated[int | None, typer.Option(min=1, help="llm: at most so many questions a minute")] = None,
    cache: Annotated[Path | None, typer.Option(help="llm: replies, paid for once [OUT's folder/replies]")] = None,
    json: AsJson = False,
) -> None:
    """Examples -> labels: coding, math or other, and the share of code characters.

    The key of an llm endpoint comes from the environment variable CODEDOSE_LLM_KEY only.
    """
    from codedose import tables
    from codedose.code.share import code_shares
    from codedose.label import complete
    from codedose.label import label as labelled

    if by not in LABELLERS:
        raise StudyError(f"--by {by}: labels are given by {', '.join(LABELLERS)}")
    frame = tables.read(examples, tables.EXAMPLES)
    if by == "llm":
        asked = endpoint(url, model, dollars_in, dollars_out)
        given = by_llm(frame, asked, cache or out.parent / "replies", concurrency, per_minute)
        labels = complete(given, code_shares(frame["messages"]), by="llm")
    else:
        labels = labelled(frame, by=by)  # type: ignore[arg-type]
    out.parent.mkdir(parents=True, exist_ok=True)
    tables.write(labels, out, tables.LABELLED)
    counts = labels.group_by("label").len().sort("label").rows()
    told: dict[str, object] = {"labels": dict(counts), "out": str(out)}
    if audit:
        told |= export(frame, labels, out.with_name("audit.csv"), audit)
    if audited:
        told["audit"] = compare(labels, audited, json)
    say(told, json, counts)
    if audit and not json:
        print(f"{audit} examples to label by hand in {told['to_fill_in']}: write coding, math or other into 'hand'")


def endpoint(url: str | None, model: str | None, dollars_in: float, dollars_out: float) -> "Endpoint":
    from codedose.study import Endpoint

    if url is None or model is None:
        raise StudyError("--by llm needs --url and --model: any OpenAI-compatible endpoint")
    return Endpoint(url=url, model=model, dollars_per_million_in=dollars_in, dollars_per_million_out=dollars_out)


def by_llm(
    examples: "pl.DataFrame", asked: "Endpoint", cache: Path, concurrency: int, per_minute: int | None
) -> "pl.DataFrame":
    """The endpoint's labels; what they will cost is told before, what they did cost after, on standard error."""
    import sys

    from codedose.label.endpoint import key_from_environment
    from codedose.label.llm import cost, label_llm, spent

    ahead, was = cost(examples, asked, cache), spent(examples, asked, cache)
    told = f"{ahead.conversations:,} conversations to ask ({ahead.known:,} known), about {ahead.tokens:,} tokens"
    print(f"{told}, about ${ahead.dollars:,.2f}", file=sys.stderr)
    try:
        return label_llm(
            examples,
            endpoint=asked,
            cache=cache,
            key=key_from_environment(),
            concurrency=concurrency,
            requests_per_minute=per_minute,
            progress=say_progress,
        )
    finally:
        now = spent(examples, asked, cache)
        told = f"paid: {now.replies - was.replies:,} replies, ${now.dollars - was.dollars:,.2f} in this run"
        print(f"{told} (${now.dollars:,.2f} with earlier ones)", file=sys.stderr)


def export(examples: "pl.DataFrame", labels: "pl.DataFrame", path: Path, count: int) -> dict[str, object]:
    from codedose.label.hand import write_audit

    write_audit(examples, labels, path, count=count, characters=SHOWN, name="audit")
    return {"to_fill_in": str(path)}


def compare(labels: "pl.DataFrame", hand: Path, json: bool) -> dict[str, object]:
    """How good the labels are by the hand labels, and what that does to the arms' true share."""
    from codedose.label.audit import audit as audited
    from codedose.label.audit import true_share
    from codedose.label.hand import read_audit

    found = audited(labels, read_audit(hand))
    columns = ("quantity", "of", "value", "low", "high", "n", "note")
    shares = [(share, true_share(share, found)) for share in STORIES]
    rows = [(share, true.value, true.low, true.high, true.note) for share, true in shares]
    if not json:
        print(f"{found.n} hand labels, {found.unfilled} not filled in; intervals of {found.confidence:.0%}")
        say(None, json, found.table().select(columns).rows(), columns)
        say(None, json, found.confusion.rows(), found.confusion.columns)
        say(None, json, rows, ("nominal share of coding", "expected true share", "low", "high", "note"))
    named = [dict(zip(("nominal", "true", "low", "high", "note"), row, strict=True)) for row in rows]
    return {"n": found.n, "unfilled": found.unfilled, "figures": found.table().to_dicts(), "true_shares": named}


COMMANDS: tuple[Any, ...] = (label,)
