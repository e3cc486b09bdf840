"""Known vulnerabilities in the pinned packages (pip-audit), and secrets in tracked files (detect-secrets).

Runs in an environment of its own (make audit). Ends with 1 where a pinned package has a vulnerability that a newer
version mends, or a tracked file holds what looks like a secret and does not stand in .ci/secrets.baseline. Where the
database of vulnerabilities is out of reach it says so in one line and fails nothing.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[1]
LIMIT = 40  # seconds for each
BASELINE = ".ci/secrets.baseline"
FOUND, MOVED = 1, 3  # how detect-secrets-hook ends: with new findings; with known ones on other lines
SKIPPED = ("jsonl", "vendor", "baseline")  # data, and what others wrote: looked at where they come from


def vulnerable() -> list[str]:
    """A sentence for each vulnerability of a pinned package that a newer version mends."""
    pinned = ["--requirement", "constraints.txt", "--no-deps", "--disable-pip"]
    command = [BIN / "pip-audit", *pinned, "--format", "json", "--progress-spinner", "off", "--timeout", "5"]
    try:
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT)
        packages = json.loads(told.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        packages = []
    known = [package for package in packages if "skip_reason" not in package]
    print(f"pip-audit: {len(known)} of {len(packages)} packages looked up" if known else OUT_OF_REACH)
    found = [(package, each) for package in known for each in package["vulns"]]
    for package, each in found:
        print(
            f"  {package['name']} {package['version']}: {each['id']}, mended in {each['fix_versions'] or 'nothing yet'}"
        )
    return [each["id"] for _, each in found if each["fix_versions"]]


OUT_OF_REACH = "pip-audit: the database of vulnerabilities is out of reach from here; nothing was looked up"


def leaked() -> list[str]:
    """Where tracked files hold what looks like a secret and is not known to be harmless."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [name for name in listed.split("\0") if name and is_looked_at(ROOT / name)]
    with tempfile.TemporaryDirectory() as folder:  # where a line has moved the tool writes its baseline anew
        baseline = shutil.copy(ROOT / BASELINE, folder)
        command = [BIN / "detect-secrets-hook", "--baseline", baseline, "--json", *files]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=4 * LIMIT)
    if told.returncode not in (0, FOUND, MOVED):
        raise RuntimeError(f"detect-secrets ended with {told.returncode}: {told.stderr[-2000:]}")
    results = json.loads(told.stdout)["results"] if told.returncode == FOUND else {}
    print(f"detect-secrets: {len(files)} files, {sum(map(len, results.values()))} new findings")
    return [f"{file}:{each['line_number']}: {each['type']}" for file, found in results.items() for each in found]


def is_looked_at(path: Path) -> bool:
    return path.is_file() and path.suffix.lstrip(".") not in SKIPPED and not set(path.parts) & set(SKIPPED)


if __name__ == "__main__":
    wrong = [*vulnerable(), *leaked()]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    sys.exit(bool(wrong))
