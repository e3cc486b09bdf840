"""A study and its records -> how to cite the report, as a sentence and as BibTeX."""

from collections.abc import Mapping, Sequence
from typing import Any

from codedose import __version__

REFERENCE = (
    "Zhang et al. (2024): Unveiling the Impact of Coding Data Instruction Fine-Tuning on Large Language Models "
    "Reasoning. arXiv:2405.20535."
)
REFERENCE_ENTRY = """@misc{zhang2024unveiling,
  title         = {Unveiling the Impact of Coding Data Instruction Fine-Tuning on Large Language Models Reasoning},
  author        = {Zhang, Xinlu and Chen, Zhiyu Zoey and Ye, Xi and Yang, Xianjun and Chen, Lichang and
                   Wang, William Yang and Petzold, Linda Ruth},
  year          = {2024},
  eprint        = {2405.20535},
  archivePrefix = {arXiv}
}"""
# What TeX reads as an order; a line break would end a field's line.
TEX = str.maketrans(
    {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {sign: f"\\{sign}" for sign in "&%$#_"}
    | dict.fromkeys("\n\r\t", " ")
)


def citation(study: Mapping[str, Any], provenance: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """`text` and `bibtex`: the study, the key of its analysis where that is known, codedose, and the reference study.

    The year is that in which the last step started: the same records give the same words.
    """
    key = next((str(record["key"]) for record in provenance if record.get("kind") == "analyse" and "key" in record), "")
    year = max((str(record.get("started", ""))[:4] for record in provenance), default="")
    known = f", analysis {key}" if key else ""
    dated = f" ({year})" if year else ""
    text = (
        f"{study['name']}{dated}: {study['question']} A study with codedose {__version__}{known}, after the design "
        f"of {REFERENCE}"
    )
    return {"text": text, "bibtex": f"{entry(study, key, year)}\n\n{REFERENCE_ENTRY}"}


def entry(study: Mapping[str, Any], key: str, year: str) -> str:
    name = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in str(study["name"]))
    note = f"Study {study['name']} with codedose {__version__}" + (f", analysis {key}" if key else "")
    fields = {"title": study["question"], "year": year, "note": note}
    lines = [f"  {field} = {{{str(value).translate(TEX)}}}" for field, value in fields.items() if value]
    return "@misc{codedose-" + name + ",\n" + ",\n".join(lines) + "\n}"
