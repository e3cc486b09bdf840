"""The guide says what is so: its links, its commands with their options, its studies, and the page of all commands."""

import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from tiny import FAMILIES, write_backbone

from codedose.cli import app
from codedose.cli.planned import describe
from codedose.errors import StudyError
from codedose.plan import Planner
from codedose.runner.disk import Disk
from codedose.study import load, parse

ROOT = Path(__file__).parents[1]
DOCS, EXAMPLE = ROOT / "docs", ROOT / "examples" / "local-files"
DATA = ROOT.parent / "shared" / "data"
PAGES = [*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "examples" / "README.md", EXAMPLE / "README.md"]
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
INLINE = re.compile(r"`(codedose [^`]+)`")
PLACEHOLDER = re.compile(r"codedose (?:[A-Z]+|\.\.\.)\b")  # "codedose COMMAND --help"
SECONDS = 120


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *kinds: str) -> list[str]:
    return [text for kind, text in FENCE.findall(page.read_text(encoding="utf-8")) if kind in kinds]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


# Links


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", head).strip().lower()) for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path):
    for target in LINK.findall(prose(page)):
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert "://" not in target, "the guide is read without a network"
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_the_readme_leads_to_the_guide_and_the_guide_to_all_of_its_pages():
    assert "docs/index.md" in LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    linked = {target.partition("#")[0] for target in LINK.findall(prose(DOCS / "index.md"))}
    assert {page.name for page in DOCS.glob("*.md")} - {"index.md"} <= linked


def test_every_section_of_the_report_is_explained():
    text = (DOCS / "report.md").read_text(encoding="utf-8")
    sections = sorted((ROOT / "src" / "codedose" / "report" / "sections").glob("*.html"))
    titles = [title for file in sections for title in re.findall(r"<h2 id=[^>]*>([^<]+)<", file.read_text("utf-8"))]
    assert len(titles) > 10
    assert [title for title in titles if title not in text] == []


# Commands


def shown(page: Path) -> Iterator[list[str]]:
    """Every call of codedose in a page, as words; what stands after a comment sign or a pipe is left out."""
    lines = [line for text in blocks(page, "console") for line in text.replace("\\\n", " ").splitlines()]
    called = [line.removeprefix("$ ").removeprefix(".venv/bin/") for line in lines if line.startswith("$ ")]
    for text in (*called, *INLINE.findall(prose(page))):
        if text.startswith("codedose ") and not PLACEHOLDER.match(text):
            yield re.split(r"\s[>|]\s", " ".join(shlex.split(text.replace("...", ""), comments=True)))[0].split()


def commands() -> dict[str, Any]:
    found: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "commands.md"], ids=name_of)
def test_every_command_that_is_shown_exists_with_its_options(page: Path):
    for _, name, *words in shown(page):
        assert name in commands(), name
        known = {option for each in commands()[name].params for option in (*each.opts, *each.secondary_opts)}
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert options <= {*known, "--help"}, (name, options - known)


def test_the_commands_that_are_shown_are_found():
    calls = [words for page in PAGES for words in shown(page)]
    assert len(calls) > 50
    assert ["codedose", "plan", "mine.yaml"] in calls
    assert any(words[1] == "mix" and "--as" in words and "--stratify" in words for words in calls), (
        "a call of two lines"
    )


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_that_is_shown_exists(page: Path):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"(?:`|^\$ )make ([a-z-]+)", text, re.MULTILINE)) <= targets


@pytest.mark.parametrize("name", ["commands", "keys"])
def test_a_written_page_is_what_its_script_writes(name: str):
    written = runpy.run_path(str(DOCS / f"{name}.py"))["page"]()
    assert (DOCS / f"{name}.md").read_text(encoding="utf-8") == written, f"python docs/{name}.py writes it anew"


def test_the_page_of_the_commands_names_every_option():
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    for name, command in commands().items():
        section = text.partition(f"### codedose {name}\n")[2].partition("\n### ")[0]
        assert section, name
        for option in [each.opts[0] for each in command.params if each.param_type_name == "option"]:
            assert f"`{option}" in section, (name, option)


# Studies


def test_the_page_of_the_keys_names_every_key_of_a_study():
    text = (DOCS / "keys.md").read_text(encoding="utf-8")
    told = yaml.safe_load((ROOT / "studies" / "quickstart.yaml").read_text(encoding="utf-8"))
    for section, values in told.items():
        assert f"| `{section}` |" in text
        for key in values if isinstance(values, dict) else ():
            under = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
            assert f"| `{key}` |" in under, (section, key)


def test_every_whole_study_that_is_shown_is_one():
    whole = [text for page in PAGES for text in blocks(page, "yaml") if text.startswith("codedose: ")]
    assert whole
    for text in whole:
        assert parse(text, "shown.yaml").mix.arms


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_yaml_that_is_shown_is_yaml(page: Path):
    for text in blocks(page, "yaml"):
        assert yaml.safe_load(text)


def test_the_example_is_a_study_and_its_readme_names_its_files():
    study = load(EXAMPLE / "study.yaml")
    told = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    files = [source.path for source in study.pool.sources] + [task.path for task in study.tasks if task.path]
    for file in (*files, *(backbone.model for backbone in study.backbones)):
        assert f"`{Path(file).name}`" in told, file


def test_what_the_example_lacks_is_named(tmp_path: Path):
    study = load(EXAMPLE / "study.yaml")
    with pytest.raises(StudyError, match="'models/SmolLM2-135M' is no folder here"):
        describe(Planner(study, tmp_path, cores=2), Disk(tmp_path / "store"))
    write_backbone(tmp_path / study.backbones[0].model, FAMILIES[0], layers=1, hidden=32)
    told = describe(Planner(study, tmp_path, cores=2), Disk(tmp_path / "store"))
    assert all(any(Path(file).name in sentence for sentence in told["missing"]) for file in FILES)


FILES = {
    "pool/lima.json": "ift/lima",
    "pool/en_100_tree.jsonl": "ift/oasst_en_100_tree",
    "pool/alpaca_5000.json": "ift/alpaca_5000",
    "pool/roleplay-simple-deduped-roleplay-instruct.json": "ift/gpteacher_roleplay",
    "pool/code_alpaca_2k.json": "ift/codealpaca_2k",
    "pool/codegen-instruct.json": "ift/gpteacher_codegen",
    "items/last_letters.json": "benchmarks/last_letters",
    "items/coin_flip.json": "benchmarks/coin_flip",
    "items/clutrr_test.csv": "raw/clutrr/gen_train234_test2to10_test",
    "items/qa15_basic-deduction_test.txt": "benchmarks/babi15",
    "items/qa16_basic-induction_test.txt": "benchmarks/babi16",
    "items/prontoqa_dev.json": "raw/prontoqa/dev",
    "items/gsm8k_test.jsonl": "benchmarks/gsm8k",
    "items/SVAMP.json": "benchmarks/svamp",
    "items/ASDiv.xml": "benchmarks/asdiv",
    "items/MultiArith.json": "benchmarks/multiarith",
}


def test_the_example_is_planned_where_its_files_are(tmp_path: Path):
    if not DATA.is_dir():
        pytest.skip(f"the example's files are not here: there is no {DATA}")
    for here, there in FILES.items():
        (tmp_path / here).parent.mkdir(exist_ok=True)
        (tmp_path / here).symlink_to(DATA / f"{there}.jsonl.gz")
    write_backbone(tmp_path / "models" / "SmolLM2-135M", FAMILIES[0], layers=1, hidden=32)
    told = describe(Planner(load(EXAMPLE / "study.yaml"), tmp_path, cores=2), Disk(tmp_path / "store"))
    assert [sentence for sentence in told["missing"] if "memory" not in sentence] == []
    assert told["cells"] == 26
    assert told["steps"]["tune"] == {"of": 25, "to_run": 25}


# The site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in ("mkdocs", "latex2mathml"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install 'codedose[docs]'")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    return out


def test_the_site_has_every_page_and_draws_every_formula(site: Path):
    for page in DOCS.glob("*.md"):
        html = (site / page.with_suffix(".html").name).read_text(encoding="utf-8")
        formulas = len(re.findall(r"^```math$", page.read_text(encoding="utf-8"), re.MULTILINE))
        assert html.count("<math") == formulas
        assert "```" not in html, "a block that was not understood"


def test_the_site_loads_nothing_from_elsewhere_and_runs_nothing(site: Path):
    for page in site.glob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert "<script" not in html
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", html)
    assert not re.search(r"url\(|@import", (site / "guide.css").read_text(encoding="utf-8"))
