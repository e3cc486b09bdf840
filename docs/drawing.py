"""What GitHub draws by itself and MkDocs does not: formulas, and the name of a file over its text.

A page's Markdown flows in; the same page flows out with ```math blocks as MathML, which browsers draw without scripts
or fonts of ours, and with the second word of a block's first line as a caption.
"""

import re
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(r"^```math\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"^```(\w+) (\S+)$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for every page."""
    captioned = NAMED.sub(r'<p class="file">\2</p>\n\n```\1', markdown)
    return FORMULA.sub(lambda found: drawn(found[1].strip()), captioned)


def drawn(tex: str) -> str:
    """A formula in LaTeX as a block of MathML."""
    # latex2mathml takes ± for a name, which gets no room around it
    drawing = convert(tex, display="block").replace("<mi>&#x000B1;</mi>", "<mo>&#x000B1;</mo>")
    return f'<div class="formula" role="region" tabindex="0" aria-label="formula">{drawing}</div>'
