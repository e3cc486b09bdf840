"""Texts from strangers -> Markdown, LaTeX or SVG, where they show as they are and do nothing."""

import html
import re
import unicodedata

UNPRINTABLE = "\ufffd"
APART = "\u200b"  # a space of no width: what makes a link or a mention of a text no longer stands together
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}  # a bar ends a cell even behind a backslash
ESCAPED = frozenset("\\`*_{}[]#!~$")
# GitHub and the Hub make links of bare addresses, and GitHub tells a person whose name stands behind an @.
JOINED = re.compile(r"(?i)(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)(?=\S)")
# What would begin a list, or be a rule or an underline, at the start of a line: a backslash goes before its last sign.
STARTS_BLOCK = re.compile(r"(?:[-+]|\d{1,9}[.)])(?= |$)|[-=](?=[-= ]*$)")
HYPHENS = re.compile("(?<=-)(?=-)")  # two in a row would become a dash
LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "#": r"\#",
    "$": r"\$",
    "%": r"\%",
    "&": r"\&",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "–": "--",
    "—": "---",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "†": r"\dag{}",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
}
ACCENTS = {
    "\u0300": r"\`",
    "\u0301": r"\'",
    "\u0302": r"\^",
    "\u0303": r"\~",
    "\u0304": r"\=",
    "\u0306": r"\u",
    "\u0307": r"\.",
    "\u0308": r"\"",
    "\u030a": r"\r",
    "\u030b": r"\H",
    "\u030c": r"\v",
    "\u0327": r"\c",
}  # those that every font encoding of LaTeX can set


def one_line(text: object) -> str:
    """`text` on one line: any white space as one space, and what has no sign of its own as U+FFFD."""
    return "".join(sign if sign.isprintable() else UNPRINTABLE for sign in " ".join(str(text).split()))


def markdown(text: object) -> str:
    """`text` as Markdown (CommonMark with GitHub's tables) that reads as it does: no markup, link, tag or mention."""
    whole = JOINED.sub(APART, one_line(text))
    safe = "".join(ENTITIES.get(sign, f"\\{sign}" if sign in ESCAPED else sign) for sign in whole)
    start = STARTS_BLOCK.match(safe)
    return f"{safe[: start.end() - 1]}\\{safe[start.end() - 1 :]}" if start else safe


def latex(text: object) -> str:
    """`text` as LaTeX that sets it, in ASCII, on any engine and in any font encoding.

    A letter that plain LaTeX cannot set stands as its number, such as [U+4E2D]; none is lost.
    """
    whole = unicodedata.normalize("NFC", one_line(text))
    return "{}".join("".join(map(latex_sign, part)) for part in HYPHENS.split(whole))


def latex_sign(sign: str) -> str:
    if sign in LATEX:
        return LATEX[sign]
    if sign.isascii():
        return sign
    apart = unicodedata.normalize("NFD", sign)
    if len(apart) == 2 and apart[0].isascii() and apart[1] in ACCENTS:
        return f"{ACCENTS[apart[1]]}{{{apart[0]}}}"
    return f"[U+{ord(sign):04X}]"


def xml(text: object) -> str:
    """`text` for an element or a quoted attribute of SVG."""
    return html.escape(one_line(text))
