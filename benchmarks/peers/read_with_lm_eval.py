"""What lm-eval 0.4.13's own filters and math-verify 0.9.0 read in replies; runs in the peers' environment.

Standard input: one JSON object a line with text, answer, answer_type and vocabulary. Standard output: for each, a JSON
object {peer: [what it reads, whether that is the answer]}, the harness's exact_match with the options of its own task.
"""

import importlib.util
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lm_eval
from lm_eval.filters.extraction import RegexFilter
from math_verify import parse, verify

# lm_eval/tasks/gsm8k/gsm8k.yaml, gsm8k-cot-zeroshot.yaml, bbh/cot_zeroshot/*.yaml
GSM8K_STRICT = RegexFilter(regex_pattern=r"#### (\-?[0-9\.\,]+)")
GSM8K_FLEXIBLE = RegexFilter(regex_pattern=r"(-?[$0-9.,]{2,})|(-?[0-9]+)", group_select=-1)
COT_STRICT = RegexFilter(regex_pattern=r"The answer is (\-?[0-9\.\,]+).")
BBH_STRICT = RegexFilter(
    regex_pattern=r"((?<=The answer is )(.*)(?=.)|(?<=the answer is )(.*)(?=.)|(?<=The answer: )(.*)(?=.)"
    r"|(?<=The final answer: )(.*)(?=.))"
)
TRUE_FALSE = RegexFilter(regex_pattern=r"\b(True|False)\b", group_select=-1)
IGNORED = {
    "gsm8k": (",", r"\$", "(?s).*#### ", r"\.$"),
    "bbh": (r"\.$", ",", r"\\", "\n", '"'),
}


def bbh_filters() -> Any:
    """The filters that the BBH tasks bring along."""
    path = Path(lm_eval.__file__).parent / "tasks" / "bbh" / "cot_zeroshot" / "utils.py"
    spec = importlib.util.spec_from_file_location("bbh_utils", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MapRegexFilter = bbh_filters().MapRegexFilter


def peers_of(reply: Mapping[str, Any]) -> dict[str, list[object]]:
    kind = reply["answer_type"]
    if kind == "number":
        strict, cot, flexible = (read(each, reply, "gsm8k") for each in (GSM8K_STRICT, COT_STRICT, GSM8K_FLEXIBLE))
        return {
            "gsm8k strict-match": strict,
            "gsm8k_cot_zeroshot strict-match": cot,
            "gsm8k flexible-extract": flexible,
            "math-verify": math_verified(reply),
        }
    told = {"bbh strict-match": read(BBH_STRICT, reply, "bbh")}
    if kind == "true_false":
        return {**told, "bbh flexible-extract": read(TRUE_FALSE, reply, "bbh")}
    words = {"yes": "yes", "no": "no"} if kind == "yes_no" else reply["vocabulary"]
    if words:
        mapped = {rf"\b{re.escape(form)}\b": word for form, word in words.items()}
        return {**told, "bbh flexible-extract": read(MapRegexFilter(mapped, -1, ignore_case=True), reply, "bbh")}
    return told


def read(how: Any, reply: Mapping[str, Any], ignored: str) -> list[object]:
    """What the filter reads, and exact_match as lm_eval/api/metrics.py has it, case ignored."""
    found = how.apply([[reply["text"]]], [{}])[0][0]
    return [None if found == "[invalid]" else found, bare(found, ignored) == bare(reply["answer"], ignored)]


def bare(text: str, ignored: str) -> str:
    for pattern in IGNORED[ignored]:
        text = re.sub(pattern, "", text)
    return text.lower()


def math_verified(reply: Mapping[str, Any]) -> list[object]:
    found = parse(reply["text"], parsing_timeout=None)
    right = verify(parse(reply["answer"], parsing_timeout=None), found, timeout_seconds=None)
    return [str(found[-1]) if found else None, bool(right)]


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(peers_of(json.loads(line))))
