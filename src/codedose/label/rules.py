"""Examples -> coding where code stands in the text, math where it is dense in quantities, else other.

The rules see whether code is there, not whether code is what the conversation is about. Patterns are searched
only where neither a fence nor a run of code-like lines has been found.
"""

import polars as pl

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
    r"(?-u:\b)(equations?|inequalit\w+|fractions?|numerator|denominator|percent\w*|probabilit\w+|divisible|multipl\w+"
    r"|integers?|prime|primes|squared?|cubed|derivative|integral|integrate|polynomial|quadratic|theorem|proof|prove"
    r"|triangle|angle|radius|diameter|perimeter|hypotenuse|logarithm|exponent\w*|algebra|geometr\w+|arithmetic|calculus"
    r"|mean|median|variance|deviation|remainder|factors?|sum|product|ratio|solve|calculate|decimals?|digits?|subtract\w*"
    r"|divide[sd]?|vectors?|matrix|permutations?|combinations?|modulo|coefficients?|roots?)(?-u:\b)"
)
MATH_DENSITY = 0.05  # signs and words of mathematics per word of the conversation; chosen on the starter pool
# Characters in which patterns are searched. Of 11,253 ShareGPT records without fences or runs the whole text shows
# a code-like line in 36, this much of it in 22; and what is mathematics is so from its start.
READ, MATH_READ = 2_000, 1_000


def label_rules(examples: pl.DataFrame, shares: pl.Series) -> pl.DataFrame:
    """One row per example, in their order: example_id, label, confidence (null: rules have none).

    `shares` is the share of each example that is code (share.code_shares).
    """
    text = pl.col("messages").list.eval(pl.element().struct.field("content").str.head(READ)).list.join("\n")
    plain = examples.filter(shares == 0).select(text.str.head(READ).alias("text"))
    found = pl.Series("label", ["coding"] * examples.height, pl.String)
    places = (shares == 0).arg_true()
    found = found.scatter(places, judged(plain)) if len(places) else found
    return examples.select("example_id", found, confidence=pl.lit(None, pl.Float64))


def judged(texts: pl.DataFrame) -> pl.Series:
    """The label of each text by its patterns."""
    text, start = pl.col("text"), pl.col("text").str.head(MATH_READ)
    signs = start.str.count_matches(MATH_SIGNS) + start.str.to_lowercase().str.count_matches(MATH_WORDS)
    code = text.str.contains(CODE_LINE) | text.str.contains(INLINE_CODE)
    is_math = signs > MATH_DENSITY * start.str.count_matches(r"\S+")
    found = pl.when(code).then(pl.lit("coding")).when(is_math).then(pl.lit("math")).otherwise(pl.lit("other"))
    return texts.select(found.alias("label")).to_series()
