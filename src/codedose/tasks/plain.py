"""A reply without its dress: markdown, LaTeX, other scripts' digits, typographic signs. Nothing is ever executed.

Every step takes time in proportion to the length, whatever the text: no pattern here, in answers.py or in numerals.py
can start in the middle of a run that another start has already walked. Lower case has the same length as plain text.
"""

import re
import unicodedata

BOX, UNBOX = "\ue000", "\ue001"  # stand round what was in \boxed{...}
LONGEST_BOX = 400
NO_DIGITS = 0x20000  # from here on ideographs and private signs; looking through them too took each process 0.3 s

VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8"}


def foreign_signs() -> dict[int, str]:
    """Every script's decimal digits as 0-9, full-width ASCII as ASCII, typographic signs as plain ones."""
    signs = {code: str(unicodedata.decimal(chr(code))) for code in range(128, NO_DIGITS) if chr(code).isdecimal()}
    signs |= {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    signs |= {ord(sign): f" {plain}" for sign, plain in VULGAR.items()}
    signs[ord("İ")] = "I"  # the one sign whose lower case is longer
    for plain, many in {
        "-": "−‐‑‒–﹣", '"': "“”„«»「」", "'": "‘’‚", " ": "\u00a0\u2007\u2009\u202f\u3000\u200a\u2002\u2003",
        "": "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f", ".": "٫。", ",": "٬،、，", ":": "：", "->": "→⇒➔⟶",
        "*": "∗·", "/": "⁄∕÷", "\n": "\u2028\u2029\u0085",
    }.items():  # fmt: skip
        signs |= {ord(sign): plain for sign in many}
    return signs


FOREIGN = foreign_signs()
GROUPED = re.compile(r"[\u00a0\u2009\u202f'’_٬\\{](?:(?<=\d\\),|(?<=\d\{),\}|(?<=\d[^\\{]))(?=\d{3}(?!\d))")
VULGAR_RUN = re.compile(f"[{''.join(VULGAR)}]{{2,}}")
LATEX_WORDS = (
    (re.compile(r"\\(?:left|right|quad|displaystyle)(?![a-z])"), " "),
    (re.compile(r"\\(?:times|cdot)(?![a-z])"), "*"),
    (re.compile(r"\\(?:rightarrow|to|Rightarrow|implies)(?![a-z])"), "->"),
)
LATEX_SPACES = (",", "!", ";", ":", "(", ")", "[", "]")
BACKSLASHES = re.compile(r"\\\\+")  # a line's end, or a backslash escaped once more
FRACTION = re.compile(r"\\[dt]?frac\s?\{([^{}]{1,40})\}\s?\{([^{}]{1,40})\}")
WORDING = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|texttt|operatorname)\s?\{([^{}]{0,200})\}")
BOXED = re.compile(r"\\(?:boxed|fbox) ?\{")
FENCE_LINE = re.compile(r"^ {0,3}(?:```|~~~)[\w+#.-]{0,20}[ \t]*$", re.MULTILINE)
POWER = re.compile(r"\*\*(?<=\d\*\*)(?=\d)")
TAG = re.compile(
    r"<(?=[/bicdepsu])/?(?:b|i|u|em|strong|p|br|div|span|code|pre|sup|sub|center|answer) ?/?>", re.IGNORECASE
)
SPACES = re.compile(r"  +")
EMPTY_LINES = re.compile(r"\n\n\n+")


def plain(text: str) -> str:
    """`text` in plain signs, with single spaces, at most one empty line in a row, and boxes marked."""
    text = GROUPED.sub("", text.rpartition("</think>")[2])
    if not text.isascii():
        text = VULGAR_RUN.sub(" ", text).translate(FOREIGN)
    if "\\" in text:
        text = without_latex(text)
    return one_spaced(without_markdown(text))


def without_latex(text: str) -> str:
    text = BACKSLASHES.sub(lambda run: "\\", text)
    text = FRACTION.sub(r" \1/\2", text)
    text = WORDING.sub(r"\1", text)
    for pattern, instead in LATEX_WORDS:
        text = pattern.sub(instead, text)
    for sign in LATEX_SPACES:
        text = text.replace(f"\\{sign}", " ")
    for sign in "$%&#_{}":
        text = text.replace(f"\\{sign}", sign)
    return mark_boxes(text)


def without_markdown(text: str) -> str:
    if "```" in text or "~~~" in text:
        text = FENCE_LINE.sub("", text)
    if "**" in text:
        text = POWER.sub("^", text)
    for mark in ("**", "__", "~~", "`"):
        text = text.replace(mark, "")
    return TAG.sub("", text) if "<" in text else text


def one_spaced(text: str) -> str:
    for blank in "\t\r\f\v":
        text = text.replace(blank, " ")
    text = SPACES.sub(" ", text).replace(" \n", "\n").replace("\n ", "\n")
    return EMPTY_LINES.sub("\n\n", text).strip()


def mark_boxes(text: str) -> str:
    r"""What stands in \boxed{...} between BOX and UNBOX, inner braces matched."""
    first, *others = BOXED.split(text)
    return first + "".join(unbox(other) for other in others)


def unbox(text: str) -> str:
    depth = 1
    for place, sign in enumerate(text[:LONGEST_BOX]):
        depth += (sign == "{") - (sign == "}")
        if depth == 0:
            return f"{BOX}{text[:place]}{UNBOX}{text[place + 1 :]}"
    return text
