"""The house of DESIGN.md: imports point down and have one form, and what is heavy is imported where it is used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "codedose"
FILES = sorted(SOURCE.rglob("*.py"))
LAYERS = (
    ("cli",),
    ("plan",),
    ("stages",),
    ("tune", "generate", "report", "analyse", "score", "balance", "mix", "label", "held_out"),
    ("inputs",),
    ("joined",),
    ("pool", "prompt", "backbone", "cost", "logs"),
    ("tasks",),
    ("runner",),
    ("cells",),
    ("study",),
    ("stated", "tables", "named", "keys", "cache", "code", "words", "files"),
    ("errors",),
)
DEPTH = {module: level for level, modules in enumerate(LAYERS) for module in modules}
HEAVY = ("torch", "transformers", "polars", "numpy", "pandas", "scipy", "plotly", "huggingface_hub", "pydantic", "yaml")


def module_of(file: Path) -> str:
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(file: Path) -> list[tuple[str, ast.stmt]]:
    """Every codedose module that a file imports from, wherever in the file."""
    found: list[tuple[str, ast.stmt]] = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "codedose":
            found += [(name.name, node) for name in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("codedose."):
            found.append((str(node.module).split(".")[1], node))
    return found


def test_every_module_has_its_layer():
    assert {module_of(file) for file in FILES} - {"__init__"} == set(DEPTH)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_only_point_down(file):
    own = module_of(file)
    for other, node in imports(file):
        if own == "__init__" or other in (own, "__version__"):
            continue
        assert DEPTH[other] > DEPTH[own], f"{file}:{node.lineno}: {own} must not import {other}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_have_one_form(file):
    """`from codedose.x import y`: neither relative nor `import codedose.x`, so that the test above sees them all."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: a relative import"
        if isinstance(node, ast.Import):
            named = [name.name for name in node.names if name.name.split(".")[0] == "codedose"]
            assert named == [], f"{file}:{node.lineno}: import {named}"


def test_the_runner_knows_no_science_and_the_science_no_runner():
    allowed = {"runner", "keys", "cache", "errors"}
    for file in FILES:
        own = module_of(file)
        seen = {other for other, _ in imports(file)}
        if own == "runner":
            assert seen <= allowed, f"{file}: {seen - allowed}"
        elif own not in ("cli", "plan", "stages", "__init__"):
            assert "runner" not in seen, file


def test_only_the_plan_knows_the_order_of_the_story():
    """Steps are made in plan.py and nowhere else."""
    makers = {
        module_of(file)
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Step"
    }
    assert makers == {"plan"}


@pytest.mark.parametrize(
    "statement",
    [
        "import codedose",
        "import codedose.cli",
        "import codedose.cli; from typer.testing import CliRunner; CliRunner().invoke(codedose.cli.app, ['--help'])",
        "import codedose.runner.children",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_used(statement):
    script = f"{statement}\nimport sys\nprint(*(name for name in {HEAVY} if name in sys.modules))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.split() == []
