"""A message as it was copied from a web page -> the text that its writer saw.

Shared conversations were turned from HTML into markdown, which left escapes (`my\\_name`), entities and
tags behind. They are undone in prose only: fenced blocks and inline code keep every byte, and so do the
tags and entities that a message is about.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from codedose.code.fences import stretches

ESCAPES = "markdown escapes undone"
ENTITIES = "HTML entities undone"
TAGS = "HTML tags left out"
BUTTONS = "captions of buttons left out"

# Converters to markdown escape `_` and `*` wherever they stand, and never a backslash, so that an odd row of
# backslashes was one shorter. Brackets, `\(`, `\.` or `\$` are never theirs: mathematics, patterns, paths.
# A folder such as C:\_work is none either. The pattern begins with a backslash, which is quick to look for.
ESCAPE = re.compile(r"\\(?<!\\\\)(?<!\b[A-Za-z]:\\)((?:\\\\)*+)([_*])")
LINE_ESCAPE = re.compile(r"(?m)^([ \t]{0,3}+(?:\d{1,3}+)?+)\\([#>+.-])(?=[#> ])")
ANY_LINE_ESCAPE = re.compile(r"\\[#>+.-][#> ]")

CHARACTERS = {"lt": "<", "gt": ">", "quot": '"', "apos": "'", "nbsp": " ", "amp": "&"}
CHARACTERS |= {"#34": '"', "#39": "'", "#039": "'", "#x27": "'", "#60": "<", "#62": ">", "#160": " ", "#38": "&"}
# As often escaped as it was: &amp;amp;lt; is one entity. An opened tag (&lt;br) stays what it is: text about a tag.
ENTITY = re.compile(r"&(?:amp;|#38;)*(" + "|".join(CHARACTERS) + r");(?!(?<=lt;)[/!A-Za-z])(?!(?<=#60;)[/!A-Za-z])")

LANGUAGES = (
    "python|javascript|typescript|java|html|css|scss|less|php|perl|ruby|rust|go|c|cpp|csharp|swift|kotlin|scala|sql|bash|"
    "shell|sh|powershell|json|yaml|xml|markdown|latex|arduino|matlab|lua|dart|makefile|dockerfile|objectivec|vbnet|vbscript|"
    "graphql|glsl|r|jsx|tsx|vue|diff|ini|toml|nginx|plaintext|csharp|clojure|haskell|elixir|mathematica|solidity|excel|kusto"
)
BUTTON = re.compile(rf"(?m)^(?:(?:{LANGUAGES})\n)?+(?:Copy code(?:\n|\Z)|(?:{LANGUAGES})Copy code\n?)")

# What browser extensions put below the field of the request. The Korean one (translate now) also stands in its line.
LAST_LINES = ("Share Prompt", "Translate now", "지금 번역하기")
MOST_CAPTIONS = 9  # each costs a pass

# What only the page of the chat itself writes.
PAGE = re.compile(
    r"<(?:div|span|p|pre|code|button|svg|ul|ol|li|h[1-6])\b[^<>]{0,300}(?:class=\"[^\"<>]{0,200}(?:markdown prose"
    r"|break-words|whitespace-pre-wrap|hljs|bg-black|flex ml-auto|result-streaming)|data-(?:message|start|end)\b)"
)
PAGE_TAG = re.compile(
    r"</?(?:div|span|p|pre|code|button|svg|path|polyline|polygon|rect|line|circle|ul|ol|li|br|hr|b|i|em|strong|"
    r"a|img|table|thead|tbody|tr|td|th|h[1-6])\b(?:[^<>\"]|\"[^\"<>]*\")*+>"
)
TAG = re.compile(r"</?[A-Za-z][\w-]*+[^<>]*+>")
FORMATTING = re.compile(r"</?(?:br|p|b|strong|i|em) ?/?>")
SPEAKS_OF_TAGS = re.compile(
    r"(?i)\b(?:html|css|xml|jsx|tags?|markup|markdown|browser|element|javascript|php|code|script|render\w*)\b"
    r"|[\"'`=(]\s?</?\w|>[\"'`;]|^\s*[{}]\s*$"
)

# Patterns for one look at many texts (polars' regular expressions): a text without any of them has nothing to mend.
SUSPECT = (
    r"\\[_*#>+.-]",
    r"Copy code|" + "|".join(LAST_LINES),
    r"</?(?:br|p|b|strong|i|em|div|span|code|button|svg|ul|ol|li|h[1-6])",
    rf"&(?:{'|'.join(CHARACTERS)});",
)


def mend_markup(text: str) -> tuple[str, Mapping[str, int]]:
    """`text` without what a web page left in it, and how many places each rule changed."""
    text, buttons = leave_out_last_buttons(text)
    rules = rules_for(text)
    if not rules:
        return text, {BUTTONS: buttons} if buttons else {}
    counts = Counter({BUTTONS: buttons} if buttons else {})
    parts = []
    for piece, is_code in pieces(text):
        if not is_code:
            for name, rule in rules:
                piece, changed = rule(piece)
                if changed:
                    counts[name] += changed
        parts.append(piece)
    return "".join(parts), counts


Rule = Callable[[str], tuple[str, int]]


def rules_for(text: str) -> list[tuple[str, Rule]]:
    """The rules that may find something in a message; none that would undo what the message is about."""
    rules: list[tuple[str, Rule]] = []
    if "\\" in text and "\\documentclass" not in text and "\\usepackage" not in text:
        rules.append((ESCAPES, undo_escapes))
    if "Copy code" in text:
        rules.append((BUTTONS, leave_out_buttons))
    if "<" in text and PAGE.search(text) and PAGE.search(prose_of(text)):
        rules.append((TAGS, leave_out_page_tags))
    elif "<" in text and only_formats(text):
        rules.append((TAGS, undo_formatting))
    if "&" in text and ENTITY.search(text) and not SPEAKS_OF_TAGS.search(text):
        rules.append((ENTITIES, undo_entities))
    return rules


def undo_escapes(prose: str) -> tuple[str, int]:
    if "\\" not in prose:
        return prose, 0
    left, count = ESCAPE.subn(r"\1\2", prose)
    if not ANY_LINE_ESCAPE.search(left):
        return left, count
    left, more = LINE_ESCAPE.subn(r"\1\2", left)
    return left, count + more


def undo_entities(prose: str) -> tuple[str, int]:
    return ENTITY.subn(lambda found: CHARACTERS[found[1]], prose)


def leave_out_buttons(prose: str) -> tuple[str, int]:
    return BUTTON.subn("", prose)


def leave_out_last_buttons(text: str) -> tuple[str, int]:
    """Without the captions of buttons that a message ends with, outside fenced code."""
    left, count = text, 0
    while (end := left.rstrip()).endswith(LAST_LINES):
        caption = next(caption for caption in LAST_LINES if end.endswith(caption))
        before = end[: -len(caption)]
        line = before[before.rfind("\n") + 1 :]
        if (line.strip() and caption.isascii()) or count == MOST_CAPTIONS or list(stretches(end))[-1].fenced:
            break
        left, count = before.rstrip(), count + 1
    return left, count


def leave_out_page_tags(prose: str) -> tuple[str, int]:
    """Without the tags of the page; what they separate is separated by lines."""
    return PAGE_TAG.subn(lambda found: plain(found[0]), prose)


def undo_formatting(prose: str) -> tuple[str, int]:
    """<br>, <p>, <b> and <i> as line ends and asterisks; a line break in a markdown table can only be a tag."""
    lines, count = [], 0
    for line in prose.split("\n"):
        if "<" in line and "|" not in line:
            line, changed = FORMATTING.subn(lambda found: plain(found[0]), line)
            count += changed
        lines.append(line)
    return "\n".join(lines), count


def plain(tag: str) -> str:
    name = tag.strip("</> ").split(" ")[0].split("\n")[0]
    if name in ("b", "strong"):
        return "**"
    if name in ("i", "em"):
        return "*"
    if name in ("br", "tr", "ul", "ol", "hr"):
        return "\n"
    if name in ("p", "div", "pre", "table") or name[:1] == "h":
        return "\n\n" if tag.startswith("</") else ""
    return "\n* " if tag.startswith("<li") else ""


def only_formats(text: str) -> bool:
    """Whether the tags in the prose of a message only format it, and nothing says that it is about tags."""
    if not FORMATTING.search(text):
        return False
    prose = prose_of(text)
    tags = TAG.findall(prose)
    return bool(tags) and all(map(FORMATTING.fullmatch, tags)) and not SPEAKS_OF_TAGS.search(text)


def prose_of(text: str) -> str:
    return "".join(piece for piece, is_code in pieces(text) if not is_code)


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The pieces of a text in order, each with whether it is code: a fenced block or an inline span."""
    for stretch in stretches(text):
        part = text[stretch.start : stretch.end]
        if stretch.fenced or "`" not in part:
            yield part, stretch.fenced
        else:
            yield from inline_pieces(part)


TICKS = re.compile(r"`+|\n[ \t]*+\n")


def inline_pieces(prose: str) -> Iterator[tuple[str, bool]]:
    """As in CommonMark a row of backticks opens code that ends at the next row of that length in its paragraph."""
    rows = list(TICKS.finditer(prose))
    closing = closings([row[0] for row in rows])
    place, number = 0, 0
    while number < len(rows):
        end = closing[number]
        if end:
            yield prose[place : rows[number].start()], False
            yield prose[rows[number].start() : rows[end].end()], True
            place, number = rows[end].end(), end
        number += 1
    yield prose[place:], False


def closings(rows: list[str]) -> list[int]:
    """For each row of backticks the number of the next equal one before the paragraph ends; 0: there is none."""
    following: dict[str, int] = {}
    found = [0] * len(rows)
    for number in range(len(rows) - 1, -1, -1):
        if rows[number][0] == "`":
            found[number] = following.get(rows[number], 0)
            following[rows[number]] = number
        else:
            following = {}
    return found
