"""Scores -> effects: from files, or from the store of a study."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codedose.cli.show import AsJson, Out, say
from codedose.errors import StudyError

if TYPE_CHECKING:
    from codedose.study import Analyse

SHOWN = ("of", "contrast", "reading", "estimate", "low", "high", "p_adjusted")


def analyse(
    out: Out,
    scores: Annotated[
        list[Path] | None, typer.Argument(metavar="SCORES...", help="scores.parquet, or several; none: a study's store")
    ] = None,
    study: Annotated[Path | None, typer.Option(help="the study that named the primary contrast beforehand")] = None,
    store: Annotated[
        str | None, typer.Option(metavar="PATH|URL", help="where the study's scores are; default: beside the study")
    ] = None,
    confidence: Annotated[float, typer.Option(help="of the intervals, where no study says it")] = 0.95,
    partial: Annotated[bool, typer.Option("--partial", help="analyse what is complete of an incomplete grid")] = False,
    model_check: Annotated[bool, typer.Option("--model-check", help="also a mixed logistic model: a minute")] = False,
    labels: Annotated[Path | None, typer.Option(help="labels.parquet, with --audited: correct the trend")] = None,
    audited: Annotated[Path | None, typer.Option(help="the audit.csv of these labels, filled in by hand")] = None,
    json: AsJson = False,
) -> None:
    """Scores -> effects.parquet: contrasts, trends, best share. Without a study everything is secondary.

    Without SCORES they come from the store of --study. An incomplete grid is refused with the missing cells named,
    unless --partial.
    """
    import polars as pl

    from codedose import tables
    from codedose.analyse.effects import effects
    from codedose.study import load

    asked, quality = load(study).analyse if study else None, label_errors(labels, audited)
    found = effects(
        pl.concat([tables.read(path, tables.SCORES) for path in paths(scores, study, store, partial)]),
        **terms(asked, confidence),
        labels=quality,
        model=model_check or bool(asked and asked.model_check),
        partial=partial,
    )
    tables.write(found, out, tables.EFFECTS)
    main = pl.col("kind").is_in([tables.DIFFERENCE, tables.TREND, tables.BEST, tables.AGREEMENT])
    shown = found.filter((pl.col("view") != "task") & pl.col("family").is_null() & main)
    say(found.to_dicts(), json, shown.select(SHOWN).rows(), SHOWN)


def terms(asked: "Analyse | None", confidence: float) -> dict[str, Any]:
    """What a study has settled beforehand, or nothing of it."""
    if asked is None:
        return {"primary": None, "reading": None, "confidence": confidence, "margin": None, "consistency": None}
    return {
        "primary": (asked.primary.arm, asked.primary.against),
        "reading": asked.reading,
        "confidence": asked.confidence,
        "margin": asked.margin,
        "consistency": (asked.consistency.consistent, asked.consistency.opposite),
    }


def paths(scores: list[Path] | None, study: Path | None, store: str | None, partial: bool) -> list[Path]:
    """The files with scores: those named, or those of the study's finished score steps."""
    if scores:
        return scores
    if study is None:
        raise StudyError("say which scores: SCORES..., or --study STUDY.yaml for those in its store")
    from codedose.cli.studies import planner_of, store_of

    opened = store_of(study, store)
    steps = [step for step in planner_of(study, opened).steps if step.kind == "score"]
    finished = opened.finished()
    done = [step.folder for step in steps if step.folder in finished]
    if not done or (len(done) < len(steps) and not partial):
        raise StudyError(
            f"{study}: {len(done)} of {len(steps)} cells are scored in {opened}: codedose run {study}"
            + ("" if not done else ", or --partial to analyse the draws that are whole")
        )
    return [place / "scores.parquet" for place in opened.all_here(done)]


def label_errors(labels: Path | None, audited: Path | None) -> Any:
    """How good the labels are, where both files are given."""
    if labels is None and audited is None:
        return None
    if labels is None or audited is None:
        raise StudyError("--labels and --audited go together: the labels, and a sample of them filled in by hand")
    from codedose import tables
    from codedose.stages.telling import label_quality

    return label_quality(tables.read(labels, tables.LABELLED), audited)
