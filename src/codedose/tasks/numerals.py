"""The numbers in a text as exact fractions ("18", "1/2"), in the order in which they stand there.

A percentage is the number that stands before its sign: "12%" is 12, never 0.12. The official golds of questions for a
percentage hold that number alone, and neither reply nor gold says which questions those are.
"""

import re
from collections.abc import Iterator
from fractions import Fraction

MOST_DIGITS = 40  # longer runs are no answers, and Python's int() has a limit of its own

MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
SCALES = {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
NUMBER = re.compile(
    rf"""(?=\d|[-.$€£¥₹][-$€£¥₹ ]{{0,3}}\.?\d|[JFMASONDPQEnmspqe][a-z]{{2,9}}\.?\ [#$€£¥₹]?-?\.?\d)(?<![A-Za-z0-9_])(?:
        (?P<other>\d{{1,4}}[/-]\d{{1,2}}[/-]\d{{1,4}}(?!\d)  # a date
          | \d{{1,2}}:\d\d(?!\d)                             # a time
          | {MONTH}\.?\ \d{{1,2}}(?:st|nd|rd|th)?(?!\d)(?:,?\ \d{{4}}(?!\d))?
          | \d{{1,2}}\ {MONTH}(?:,?\ \d{{4}}(?!\d))?
          | \d+(?:st|nd|rd|th)\b                             # a place in line
          | (?i:step|part|question|example)\ \#?\d+\b
          | (?i:not)\ [$€£¥₹]?\d[\d,]*(?:\.\d+)?             # what the answer is said not to be
          | (?m:^)\(?\d{{1,2}}[.)]\ (?=\S))                  # a list number
        | (?P<sign>(?<![\d)\]])(?<![\d)\]]\ )(?:-|(?i:negative|minus)\ ))?(?:[$€£¥₹]\ ?)?(?P<inner>-)?
          (?:(?:(?P<whole>\d{{1,9}})\ )?(?P<top>\d{{1,9}})\ ?/\ ?(?P<bottom>\d{{1,9}})(?![\d/])
            | (?P<digits>\d[\d,]*(?:\.\d+)?|\.\d+)
              (?:[eE](?P<exponent>[+-]?\d+)(?!\w)
                | \ ?[*x×]\ ?10\^\{{?(?P<power>-?\d+)\}}?
                | \^\{{?(?P<raised>-?\d{{1,9}})\}}?
                | \ (?P<scale>(?i:{"|".join(SCALES)}))\b)?))""",
    re.VERBOSE,
)
THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
SPACED = re.compile(r"[^\w\n]{0,3}\d{1,3}(?: \d{3}){1,9}(?![\d./:]| ?\d)")


def numbers(text: str) -> Iterator[str]:
    """The numbers in `text`; dates, times, ordinals and list numbers are none."""
    for found in NUMBER.finditer(text):
        if not found["other"]:
            yield from values(found)


def values(found: re.Match[str]) -> Iterator[str]:
    """One number, or several where commas part them ("1,2,3"); none where it has too many digits or divides by zero."""
    minus = -1 if found["sign"] or found["inner"] else 1
    if found["top"]:
        if int(found["bottom"]):
            yield str(minus * (int(found["whole"] or 0) + Fraction(int(found["top"]), int(found["bottom"]))))
        return
    digits = found["digits"].rstrip(",")
    if digits.isdecimal() and len(digits) <= MOST_DIGITS and found.end("digits") == found.end():
        yield str(minus * int(digits))
        return
    if len(digits) > 4 * MOST_DIGITS:
        return
    parts = [digits.replace(",", "")] if THOUSANDS.fullmatch(digits) else digits.split(",")
    for place, part in enumerate(parts):
        if part and len(part) <= MOST_DIGITS and (value := scaled(Fraction(part), found)) is not None:
            yield str((minus if place == 0 else 1) * value)


def scaled(value: Fraction, found: re.Match[str]) -> Fraction | None:
    """`value` with its exponent, power or word of scale; None if that would have too many digits."""
    if found["scale"]:
        return value * SCALES[found["scale"].lower()]
    power = found["exponent"] or found["power"] or found["raised"]
    if power is None:
        return value
    base = value if found["raised"] else Fraction(10)
    if len(power) > 4 or abs(int(power)) * len(str(base)) > 2 * MOST_DIGITS or (base == 0 and int(power) < 0):
        return None
    return base ** int(power) * (1 if found["raised"] else value)


def joined(said: str) -> str:
    """`said` with the spaces out of a number that begins it and has them between its thousands ("1 234")."""
    found = SPACED.match(said)
    return said if found is None else found[0].replace(" ", "") + said[found.end() :]


UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()
UNITS += ["seventeen", "eighteen", "nineteen"]
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
WORTH = {
    **{word: value for value, word in enumerate(UNITS)},
    **{word: 20 + 10 * place for place, word in enumerate(TENS)},
    "a": 1,
}
BELOW_HUNDRED = rf"(?:(?:{'|'.join(TENS)})(?:[- ](?:{'|'.join(UNITS[1:10])}))?|(?:{'|'.join(reversed(UNITS))}))\b"
BELOW_THOUSAND = rf"(?:(?:a|{'|'.join(reversed(UNITS[1:]))}) hundred\b(?: (?:and )?{BELOW_HUNDRED})?|{BELOW_HUNDRED})"
SPELLED = re.compile(
    rf"\b(?:(?:{BELOW_THOUSAND}|a) (?P<scale>thousand|million)\b(?:,? (?:and )?{BELOW_THOUSAND})?|{BELOW_THOUSAND})"
    rf"(?! (?:half|third|quarter|and|{'|'.join(SCALES)}))(?!-)"
)


def spelled(text: str) -> Iterator[str]:
    """Whole numbers that are written as words ("one hundred and five")."""
    for found in SPELLED.finditer(text.lower()):
        total = part = 0
        for word in re.findall(r"[a-z]+", found[0]):
            if word == "hundred":
                part *= 100
            elif word in SCALES:
                total, part = total + part * SCALES[word], 0
            else:
                part += WORTH.get(word, 0)
        yield str(total + part)
