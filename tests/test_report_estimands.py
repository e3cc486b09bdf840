"""No interval of the page stands without what it is about."""

import html
import re
from pathlib import Path

from test_report import page  # noqa: F401 - a fixture

# From the lowest run to the highest: ranges of what was measured, and no intervals.
RANGES = ("The dose that was given", "Loss on held-out text")
TABLE = re.compile(r"<caption>(.*?)</caption>\s*<thead>(.*?)</thead>(.*?)</table>", re.DOTALL)
SPAN = re.compile(r"\d to [+\u2212]?\d")


def test_every_table_with_intervals_says_which_items_they_are_about(page: Path) -> None:  # noqa: F811
    text = html.unescape(page.read_text(encoding="utf-8"))
    tables = [(caption, caption + head) for caption, head, body in TABLE.findall(text) if SPAN.search(body)]
    assert len(tables) > 10
    assert [
        caption
        for caption, said in tables
        if not re.search("(these|new) items", said) and not caption.startswith(RANGES)
    ] == []
