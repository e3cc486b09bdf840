"""Text -> the same text with personal data masked: e-mail addresses, phone numbers, keys and tokens.

What is only written as an example stays: example.com, 555 numbers, your-key-here. Phone numbers are
looked for in prose only, since numbers in code are rarely one; the rest everywhere.
"""

import re
from collections.abc import Callable, Mapping

from codedose.code.fences import stretches

EMAILS = "e-mail addresses masked"
PHONES = "phone numbers masked"
KEYS = "keys and tokens masked"

# A word that starts here, so that every character is the start of a search at most once.
EMAIL = re.compile(
    r"(?<![\w.%+/@&=-])([A-Za-z0-9][\w.%+-]{0,63}+)@((?:[A-Za-z0-9-]{1,63}\.){1,5})([A-Za-z]{2,13})(?![\w@(-])"
)
DOMAINS = frozenset(
    "com org net edu gov mil int info biz name dev app xyz online site store tech club cloud agency email live "
    "digital solutions consulting world company group studio design media news today life space works".split()
)
FILES = frozenset("js py ts md rs go sh cc cs rb vb pl ps so kt".split())  # two letters, yet no country in code
NOBODY = frozenset(
    "git noreply no-reply donotreply user username user1 user2 you your name yourname email youremail your-email "
    "your_email example someone somebody test test1 test2 this super self root admin me abc xyz foo bar johndoe "
    "john.doe janedoe jane.doe john jane jdoe".split()
)
NOWHERE = re.compile(
    r"(?:^|[.-])(?:example\d?|test|domain|email|yourdomain|your-?company|yoursite|yourwebsite|company|mydomain|mycompany"
    r"|website|acme|somewhere|foo|bar|abc|xyz|sample|localhost|gserviceaccount)\.(?:com?\.)?$",
    re.IGNORECASE,
)

INTERNATIONAL = re.compile(r"(?<![\w+*/=^.)$-])\+[1-9]\d{0,2}+(?:[ .-]?+\(?+\d{1,5}+\)?+){2,6}+(?![\w%+]|[.,(]\d)")
AMERICAN = re.compile(
    r"(?<![\w.+/#$-])(?:1[ .-])?+(?:\([2-9]\d\d\) ?\d{3}[-. ]\d{4}|[2-9]\d\d([-.])\d{3}\1\d{4})(?![\w%/+]|[-.,(]\d)"
)
PLUS = re.compile(r"\+[1-9][\d .()-]{6}")
# Each begins with a sign that is cheap to look for, and finds a part of every American number.
DASHES, DOTS, BRACKETS = (re.compile(part) for part in (r"-\d\d\d-\d\d\d\d", r"\.\d\d\d\.\d\d\d\d", r"\(\d\d\d\)"))
PHONE_NAMES = "phone|mobile|whatsapp|tel|cell|fax"
NUMBER_WORDS = " ?(?:number|no|nr|num|us|call)"
NAMED_NUMBER = r"[.\"'*]{0,3} ?[:=#]?[ *]{0,3}[\"']?(\(?\d[\d ().-]{6,18}\d)"
NAMED = re.compile(
    rf"\b(?:tele)?(?:{PHONE_NAMES})\b(?:{NUMBER_WORDS}\b)?{NAMED_NUMBER}(?![\w%+]|[-.,(]\d)", re.IGNORECASE
)
# The last two are the bounds of 32 bits.
INVENTED = re.compile(r"(\d)\1{5}|123456|234567|987654|876543|^1?(?:\d{3})?555\d{4}$|^1?555|^214748364|^429496729")

BASE64 = "[A-Za-z0-9+/=]"
BREAK = r"(?:\\[rn]|[\s\"'+])"
PRIVATE = re.compile(
    rf"-----BEGIN (?:[A-Z0-9]{{1,12}} ){{0,3}}PRIVATE KEY-----{BREAK}*+(?:[\w-]{{2,20}}: [^\n]{{1,120}}\n)*+{BREAK}*+"
    rf"{BASE64}{{20,}}+(?:{BREAK}++{BASE64}{{20,}}+)*+"
    rf"(?:{BREAK}*+{BASE64}{{0,19}}+{BREAK}*+-----END (?:[A-Z0-9]{{1,12}} ){{0,3}}PRIVATE KEY-----)?+"
)
# A sign that is cheap to look for, and the whole key. Forms as their issuers document them.
ISSUED = (
    ("PRIVATE KEY-----", PRIVATE),
    ("AKIA", re.compile(r"(?<![A-Za-z0-9])AKIA[A-Z0-9]{16}(?![A-Za-z0-9])")),
    ("ASIA", re.compile(r"(?<![A-Za-z0-9])ASIA[A-Z0-9]{16}(?![A-Za-z0-9])")),
    ("sk-", re.compile(r"(?<![\w-])sk-[A-Za-z0-9_-]{20,200}+")),
    ("xox", re.compile(r"(?<!\w)xox[abeprs]-[A-Za-z0-9-]{10,}+")),
    ("AIza", re.compile(r"(?<!\w)AIza[\w-]{35}(?![\w-])")),
    ("eyJ", re.compile(r"(?<![\w.-])eyJ[\w-]{10,}+\.[\w-]{10,}+(?:\.[\w-]*+)?")),
    ("earer ", re.compile(r"(?<=earer )[\w.~+/-]{20,}+=*+")),
)
ISSUED_WITH_UNDERSCORE = (
    ("_live_", re.compile(r"(?<!\w)[spr]k_live_[A-Za-z0-9]{16,}+")),
    ("ghp_", re.compile(r"(?<!\w)ghp_[A-Za-z0-9]{30,}+")),
    ("gho_", re.compile(r"(?<!\w)gho_[A-Za-z0-9]{30,}+")),
    ("github_pat_", re.compile(r"(?<!\w)github_pat_\w{30,}+")),
    ("hf_", re.compile(r"(?<!\w)hf_[A-Za-z0-9]{30,}+")),
)
ASSIGNED = re.compile(
    r"[=:]>?[ \t\xa0]{0,2}+(?:\\?[\"']([^\s\"'<>{}\\]{20,200}+)(?=\\?[\"'])|[\"']?([\w+/-]{20,200}+={0,2})(?![\w(.\[]))"
)
# \s holds \x1c to \x1f in Python's regular expressions only.
NAMED_SO = r"(?:key|token|secret|passw(?:or)?d|pwd)s?\"?'?\]?[\s\x1c-\x1f]?:?"
SECRET = re.compile(NAMED_SO + "$", re.IGNORECASE)
# Words in a drawn text of 40 letters and digits: nine of one case in a row come up once in a hundred times.
EXAMPLES = re.compile(r"[a-z]{9}|[A-Z]{9}|(?i:example|your|xxx|1234567|abcdef|\.\.\.|://|(.)\1{5})")
SIGNS = frozenset("!@#%^&*()=+")

# Patterns for one look at many texts (polars' regular expressions): a text without any of them has nothing to mask.
SUSPECT = (
    "|".join(re.escape(sign) for sign, _ in ISSUED + ISSUED_WITH_UNDERSCORE),
    rf"(?i){NAMED_SO}\n?[=:]",
    r"@[A-Za-z0-9-]+\.[A-Za-z0-9]",
    "|".join(form.pattern for form in (PLUS, DASHES, DOTS, BRACKETS)),
    rf"(?i)(?:{PHONE_NAMES})(?:{NUMBER_WORDS})?{NAMED_NUMBER}",
)

Masked = tuple[str, int]


def mask(text: str) -> tuple[str, Mapping[str, int]]:
    """`text` with <EMAIL>, <PHONE> and <KEY> for what is personal, and how many of each rule."""
    lower = text.lower()
    left, keys = mask_keys(text, lower)
    left, emails = mask_emails(left)
    left, phones = mask_phones(left, lower)
    found = {KEYS: keys, EMAILS: emails, PHONES: phones}
    return left, {name: count for name, count in found.items() if count}


def mask_emails(text: str) -> Masked:
    return replace(EMAIL, is_mailbox, "<EMAIL>", text) if "@" in text else (text, 0)


def is_mailbox(found: re.Match[str]) -> bool:
    """Whether an address may be somebody's: under a real domain, and neither an example nor a machine's."""
    user, domain, top = found[1].lower(), found[2], found[3].lower()
    real = top in DOMAINS or (len(top) == 2 and top not in FILES)
    return real and user not in NOBODY and not NOWHERE.search(domain)


def mask_phones(text: str, lower: str) -> Masked:
    """`lower` is the text in lower case."""
    rules = phone_rules(text, lower)
    if not rules:
        return text, 0
    parts, total = [], 0
    for stretch in stretches(text):
        part = text[stretch.start : stretch.end]
        for rule in () if stretch.fenced else rules:
            part, count = replace(rule, is_phone, "<PHONE>", part)
            total += count
        parts.append(part)
    return "".join(parts), total


def phone_rules(text: str, lower: str) -> list[re.Pattern[str]]:
    """The rules that may find something: a sign is far cheaper to look for."""
    rules = [INTERNATIONAL] if PLUS.search(text) else []
    if DASHES.search(text) or DOTS.search(text) or BRACKETS.search(text):
        rules.append(AMERICAN)
    if "phone" in lower or "mobile" in lower or "whatsapp" in lower or "tel:" in lower:
        rules.append(NAMED)
    return rules


def is_phone(found: re.Match[str]) -> bool:
    """Whether a number has as many digits as phone numbers have, and is not plainly invented."""
    digits = re.sub(r"\D", "", found[1] if found.re is NAMED else found[0])
    return 8 <= len(digits) <= 15 and not INVENTED.search(digits)


def mask_keys(text: str, lower: str) -> Masked:
    """`lower` is the text in lower case."""
    total = 0
    for sign, form in ISSUED + ISSUED_WITH_UNDERSCORE if "_" in text else ISSUED:
        if sign in text:
            text, count = replace(form, is_secret, "<KEY>", text)
            total += count
    if "key" in lower or "token" in lower or "secret" in lower or "passw" in lower:
        text, count = replace(ASSIGNED, is_assigned_secret, "<KEY>", text)
        total += count
    return text, total


def is_secret(found: re.Match[str]) -> bool:
    """Whether a key is neither an example nor words; a private key always is one."""
    return found.re is PRIVATE or looks_drawn(found[0].removeprefix("github_pat_").removeprefix("eyJ"))


def is_assigned_secret(found: re.Match[str]) -> bool:
    before = found.string[max(0, found.start() - 12) : found.start()]
    return bool(SECRET.search(before)) and looks_drawn(found[1] or found[2])


def looks_drawn(value: str) -> bool:
    """Whether a long word looks drawn by a machine: digits among letters, and no words, unless signs part them."""
    digits = sum(map(str.isdigit, value))
    signs = sum(sign in SIGNS for sign in value)
    return 3 <= digits < len(value) and (signs >= 4 or not EXAMPLES.search(value))


def replace(form: re.Pattern[str], holds: Callable[[re.Match[str]], bool], sign: str, text: str) -> Masked:
    """`text` with `sign` for each match that holds, or for the part of it that the form names, and how many."""
    count = 0

    def one(found: re.Match[str]) -> str:
        nonlocal count
        if not holds(found):
            return found[0]
        count += 1
        if form not in (ASSIGNED, NAMED):
            return sign
        start, end = found.span(found.lastindex or 0)
        return found.string[found.start() : start] + sign + found.string[end : found.end()]

    return form.sub(one, text), count
