"""A reply without its dress: markdown, LaTeX, other scripts' digits, typographic signs. Nothing is ever executed.

Every step takes time in proportion to the length, whatever the text: no pattern here or in answers.py
can start in the middle of a run that another start has already walked.
"""

import re
import sys
import unicodedata

BOX, UNBOX = "\ue000", "\ue001"  # stand round what was in \boxed{...}
LONGEST_BOX = 400

VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8"}


def foreign_signs() -> dict[int, str]:
    """Every script's decimal digits as 0-9, full-width ASCII as ASCII, typographic signs as plain ones."""
    signs = {
        code: str(unicodedata.decimal(chr(code)))
        for code in range(128, sys.maxunicode + 1)
        if unicodedata.category(chr(code)) == "Nd"
    }
    signs |= {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    signs |= {ord(sign): f" {plain}" for sign, plain in VULGAR.items()}
    for plain, many in {
        "-": "−‐‑‒–﹣", '"': "“”„«»「」", "'": "‘’‚", " ": "\u00a0\u2007\u2009\u202f\u3000\u200a\u2002\u2003",
        "": "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f", ".": "٫。", ",": "٬،、，", ":": "：", "->": "→⇒➔⟶",
        "*": "∗·", "/": "⁄∕÷", "\n": "\u2028\u2029\u0085",
    }.items():  # fmt: skip
        signs |= {ord(sign): plain for sign in many}
    return signs


FOREIGN = foreign_signs()
GROUPED = re.compile(r"(?<=\d)(?:[\u00a0\u2009\u202f'’_٬]|\\,|\{,\})(?=\d{3}(?!\d))")
LATEX = (
    (re.compile(r"\\[dt]?frac\s?\{([^{}]{1,40})\}\s?\{([^{}]{1,40})\}"), r" \1/\2"),
    (re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|texttt|operatorname)\s?\{([^{}]{0,200})\}"), r"\1"),
    (re.compile(r"\\(?:left|right|quad|displaystyle|,|!|;|:|\(|\)|\[|\])"), " "),
    (re.compile(r"\\(?:times|cdot)\b"), "*"),
    (re.compile(r"\\(?:rightarrow|to|Rightarrow|implies)\b"), "->"),
    (re.compile(r"\\([$%&#_{}])"), r"\1"),
)
TAG = re.compile(r"</?(?:b|i|u|em|strong|p|br|div|span|code|pre|sup|sub|center|answer) ?/?>", re.IGNORECASE)


def plain(text: str) -> str:
    """`text` in plain signs, with single spaces, at most one empty line in a row, and boxes marked."""
    text = text.rpartition("</think>")[2]
    text = GROUPED.sub("", text)
    if not text.isascii():
        text = text.translate(FOREIGN)
    if "\\" in text:
        for pattern, instead in LATEX:
            text = pattern.sub(instead, text)
        text = mark_boxes(text)
    for mark in ("**", "__", "~~", "`"):
        text = text.replace(mark, "")
    text = TAG.sub("", text)
    text = re.sub(r"[ \t\r\f\v]+", " ", text)
    return re.sub(r" ?\n[ \n]*", lambda gap: "\n\n" if gap[0].count("\n") > 1 else "\n", text).strip()


def mark_boxes(text: str) -> str:
    r"""What stands in \boxed{...} between BOX and UNBOX, inner braces matched."""
    first, *others = re.split(r"\\(?:boxed|fbox) ?\{", text)
    return first + "".join(unbox(other) for other in others)


def unbox(text: str) -> str:
    depth = 1
    for place, sign in enumerate(text[:LONGEST_BOX]):
        depth += (sign == "{") - (sign == "}")
        if depth == 0:
            return f"{BOX}{text[:place]}{UNBOX}{text[place + 1 :]}"
    return text
