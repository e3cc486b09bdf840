"""Examples -> the class of each: coding, math or other, and how much of it is code.

Two labellers with one result: `stated` takes the source's own word, `rules` looks at the text.
The rules see whether code is there, not whether code is what the conversation is about.
"""

import re
from typing import Literal

import polars as pl

from codedose import tables
from codedose.errors import DataError

# As in CommonMark: what follows an opening row of backticks must hold none, or it is code inside a sentence.
# Possessive throughout: a hostile line costs one pass.
FENCE = re.compile(r"[ \t>]*+(?:(`{3,}+)[ \t]*+([^\s`]*+)[^`\n]*+|(~{3,}+)[ \t]*+([^\s~]*+)[^\n]*+)\n?")
NOT_CODE = frozenset({"output", "text", "txt", "plaintext", "console-output", "markdown", "md"})

# Lines that are hardly ever prose. Rust's regex engine: linear time whatever the text.
CODE_LINES = (
    r"(async )?def \w+\(.*\).*:\s*$",
    r"class \w+(\(.*\))?:\s*$",
    r"import [\w.]+( as \w+)?;?\s*$",
    r"from [\w.]+ import [\w*, ()]+\s*$",
    r"#include\s*[<\"]",
    r"#!/",
    r"using (namespace )?[\w.:]+;",
    r"(public|private|protected|static|final|abstract|export|package|func|fn)\b.*[{;]\s*$",
    r"(export |async )*function\s*\w*\(.*\)\s*\{?",
    r"(let|const|var) (mut )?[\w{}\[\], ]+(: ?\w+)? ?= ?.+",
    r"select .+ from \w+",
    r"(SELECT|FROM|WHERE|GROUP BY|ORDER BY|INSERT INTO|CREATE TABLE|DELETE FROM|UPDATE|ALTER TABLE) [\w*]",
    r"(for|while|if|switch|else if|elif) ?\(.*\) ?\{",
    r"(for \w+ in .+|while .+|if .+|elif .+):\s*$",
    r"fun \w+\(.*\{\s*$",
    r"return\b.*;\s*$",
    r"[\w.\]\[]+ ?[-+*/]?= ?[^=].*;\s*$",
    r"(console\.log|System\.out\.print\w*|printf|print|puts|echo|println!|fmt\.Print\w*|cout) ?[(<\"'$].*",
    r"[\w.]+\(.*\);\s*$",
    r"\w+(\.\w+)+\(.*\)\s*$",
    r"[A-Za-z_]{3,} = [\[{\"'].*[\]}\"']\s*$",
    r"\w+ :: [\w\[(]",
    r"</?(html|body|head|div|span|script|style|table|form|ul|li|a|p|h[1-6]|img|input|button|br)\b[^<>]*>",
    r"<(\?php|!DOCTYPE|\?xml)",
    r"[.#]?[\w-]+ \{\s*$",
    r"[$] \w+",
)
CODE_LINE = r"(?m)^[ \t]*(" + "|".join(CODE_LINES) + ")"
# `name(argument)` in backticks is how people write about code without a block
INLINE_CODE = r"`[^`\n]*[(){}\[\];=<>_$./\\-][^`\n]*`"

MATH_SIGNS = (
    r"\\(frac|sqrt|int|sum|cdot|times|le|ge|pi|theta|begin|left|binom)\b"
    r"|[√∫∑π≤≥≈±∞]|[²³⁴ⁿ⁻]"
    r"|\d ?[-+−*×÷/^=] ?\(?[-−]?\d"
    r"|\b\d*[a-z] ?[-+−*×÷/^=] ?\d|\d ?[-+−×=] ?\d*[a-z]\b"
    r"|[=<>] ?-?\d|\d ?%|\b[A-Z]\(\w"
)
MATH_WORDS = (
    r"(?i)\b(equations?|inequalit\w+|fractions?|numerator|denominator|percent\w*|probabilit\w+|divisible|multipl\w+"
    r"|integers?|prime|primes|squared?|cubed|derivative|integral|integrate|polynomial|quadratic|theorem|proof|prove"
    r"|triangle|angle|radius|diameter|perimeter|hypotenuse|logarithm|exponent\w*|algebra|geometr\w+|arithmetic|calculus"
    r"|mean|median|variance|deviation|remainder|factors?|sum|product|ratio|solve|calculate|decimals?|digits?|subtract\w*"
    r"|divide[sd]?|vectors?|matrix|permutations?|combinations?|modulo|coefficients?|roots?)\b"
)
MATH_DENSITY = 0.05  # signs and words of mathematics per word of the conversation; chosen on the starter pool


def label(examples: pl.DataFrame, *, by: Literal["stated", "rules"]) -> pl.DataFrame:
    """One row per example (tables.LABELLED): its class and the share of its characters in fenced code.

    Raises DataError when the source's word is asked for and some examples have none.
    """
    labels = stated(examples) if by == "stated" else by_rules(examples)
    codes = [code_share([message["content"] for message in messages]) for messages in examples["messages"]]
    return tables.check(
        examples.select(
            "example_id",
            labels.alias("label"),
            pl.lit(by).alias("by"),
            pl.lit(None, pl.Float64).alias("confidence"),
            pl.Series("code_share", codes, pl.Float64),
        ),
        tables.LABELLED,
    )


def stated(examples: pl.DataFrame) -> pl.Series:
    """The source's own label of each example; DataError says how many have none, and in which sources."""
    lacking = examples.filter(pl.col("stated_label").is_null())
    if lacking.height:
        sources = ", ".join(lacking["source"].unique().sort().head(3))
        raise DataError(
            f"{lacking.height} of {examples.height} examples have no label of their own (from {sources}); "
            "label by rules, or give every record the field label: coding, math or other"
        )
    return examples["stated_label"]


def by_rules(examples: pl.DataFrame) -> pl.Series:
    """Coding where code stands in the text, math where it is dense in quantities, else other."""
    contents = pl.col("messages").list.eval(pl.element().struct.field("content"))
    text = contents.list.join("\n")
    fenced = [any(code_characters(m["content"]) for m in messages) for messages in examples["messages"]]
    has_code = pl.Series(fenced, dtype=pl.Boolean) | text.str.contains(CODE_LINE) | text.str.contains(INLINE_CODE)
    signs = text.str.count_matches(MATH_SIGNS) + text.str.count_matches(MATH_WORDS)
    is_math = signs > MATH_DENSITY * text.str.count_matches(r"\S+")
    return examples.select(
        pl.when(has_code).then(pl.lit("coding")).when(is_math).then(pl.lit("math")).otherwise(pl.lit("other"))
    ).to_series()


def code_share(texts: list[str]) -> float:
    """The share of the characters of a conversation that stand in fenced code, from 0 to 1."""
    return sum(map(code_characters, texts)) / max(sum(map(len, texts)), 1)


def code_characters(text: str) -> int:
    """How many characters stand in fenced code blocks, without the fences themselves.

    A block ends at a fence of the same sign that is at least as long, or with the text. Blocks tagged
    as something else than code (output, text, markdown) do not count.
    """
    count, opener, counts = 0, "", False
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        sign, tag = fence_of(line)
        if not opener and sign:
            opener, counts = sign, tag not in NOT_CODE
        elif opener and sign.startswith(opener) and not tag:
            opener = ""
        elif counts and opener:
            count += len(line)
    return count


def fence_of(line: str) -> tuple[str, str]:
    """The row of backticks or tildes that a line opens or closes a block with, and its tag; else nothing."""
    found = FENCE.fullmatch(line)
    return (found[1] or found[3], (found[2] or found[4] or "").lower()) if found else ("", "")
