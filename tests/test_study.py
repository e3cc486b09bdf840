"""A study file: nothing is guessed; what is wrong is said once, with its line and what would be right."""

import json
import re
from pathlib import Path

import pytest
import yaml
from conftest import SMALL, changed
from hypothesis import given, settings
from hypothesis import strategies as st

from codedose.errors import StudyError
from codedose.stated import LARGEST_FILE, keys_at
from codedose.study import Study, json_schema, load, parse
from codedose.tasks import TASKS

STUDIES = Path(__file__).parents[1] / "studies"
TEXT = yaml.safe_dump(SMALL, sort_keys=False)


def said(text: str) -> str:
    """The error of a study text, which must be one sentence."""
    with pytest.raises(StudyError) as problem:
        parse(text, "s.yaml")
    sentence = str(problem.value)
    assert sentence.startswith("s.yaml: ")
    assert len(sentence.splitlines()) == 1
    return sentence


def line_of(part: str, text: str) -> int:
    """The first line that holds `part`."""
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def with_line(old: str, new: str) -> tuple[str, int]:
    """The small study with its first `old` replaced, and the line where that stands."""
    assert old in TEXT
    return TEXT.replace(old, new, 1), line_of(old, TEXT)


# The shipped studies


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.name)
def test_a_shipped_study_parses_and_carries_its_files_name(path):
    assert load(path).name == path.stem


def test_the_reference_study_is_the_papers():
    study = load(STUDIES / "paper.yaml")
    families = [backbone.family for backbone in study.backbones]
    assert sorted(families) == ["Gemma", "Llama-1", "Llama-2", "Llama-3", "Mistral", "Qwen-1.5"]
    assert all(6.5 <= backbone.scale <= 8.6 for backbone in study.backbones)  # "7 to 8B" as their names say
    assert {arm.name: arm.share for arm in study.mix.arms} == {"General": 0.0, "Half-half": 0.5, "Code": 1.0}
    assert study.mix.draws == 3
    assert [task.name for task in study.tasks] == [task.name for task in TASKS]
    assert len(study.tasks) == 12


def test_the_larger_study_goes_on_from_the_reference_study():
    paper, scales = load(STUDIES / "paper.yaml"), load(STUDIES / "paper-scales.yaml")
    assert scales.backbones[: len(paper.backbones)] == paper.backbones
    assert {backbone.family for backbone in scales.backbones} == {backbone.family for backbone in paper.backbones}
    assert [arm.share for arm in scales.mix.arms] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert (scales.tune, scales.tasks, scales.pool) == (paper.tune, paper.tasks, paper.pool)


@pytest.mark.parametrize("name", ["paper.yaml", "paper-scales.yaml"])
def test_hub_backbones_are_pinned(name):
    for backbone in load(STUDIES / name).backbones:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", backbone.model)
        assert re.fullmatch(r"[0-9a-f]{40}", backbone.revision or "")


def test_what_the_paper_does_not_state_is_marked_as_our_choice():
    text = (STUDIES / "paper.yaml").read_text()
    for key in ("longest", "by", "budget", "math", "draws", "template"):
        line = next(line for line in text.splitlines() if line.strip().startswith(f"{key}:"))
        assert "our choice" in line


# A study is a value


def test_a_study_cannot_be_changed():
    study = parse(TEXT, "s.yaml")
    with pytest.raises(ValueError, match="frozen"):
        study.mix.budget = 9


def test_a_study_comes_back_from_its_own_text():
    study = parse(TEXT, "s.yaml")
    assert parse(yaml.safe_dump(study.model_dump(mode="json")), "s.yaml") == study


def test_nothing_that_decides_the_result_has_a_default():
    """Every key of every section is required: leaving any one out is refused, by its name."""
    places = [(key,) for key in SMALL] + [
        (section, key) for section, inner in SMALL.items() if isinstance(inner, dict) for key in inner
    ]
    for *way, last in places:
        study = changed(SMALL, {})
        inner = study[way[0]] if way else study
        del inner[last]
        if inner or not way:
            assert f"{'.'.join([*way, last])} is missing" in said(yaml.safe_dump(study, sort_keys=False))


# What a person gets wrong


@pytest.mark.parametrize(
    ("old", "new", "meant"),
    [
        ("budget: 8", "bugdet: 8", "budget"),
        ("learning_rate: 0.001", "learning-rate: 0.001", "learning_rate"),
        ("untuned: true", "untunned: true", "untuned"),
        ("share: 0.0", "shares: 0.0", "share"),
        ("family: Llama", "famly: Llama", "family"),
        ("against: General", "agianst: General", "against"),
        ("max_new_tokens: 4", "max_new_token: 4", "max_new_tokens"),
    ],
)
def test_a_typo_is_told_with_its_line_the_nearest_key_and_the_known_ones(old, new, meant):
    text, line = with_line(old, new)
    with pytest.raises(StudyError) as problem:
        parse(text, "s.yaml")
    sentences = str(problem.value).splitlines()
    typo = next(sentence for sentence in sentences if "is not a key here" in sentence)
    assert typo.startswith(f"s.yaml: line {line}: ")
    assert f"did you mean '{meant}'" in typo
    assert re.search(rf"known keys: .*\b{meant}\b", typo)
    assert [sentence for sentence in sentences if sentence != typo] == [
        sentence for sentence in sentences if re.search(rf"\b{meant} is missing", sentence)
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("draws: 2", "draws: '2'", ["mix.draws", "integer", '"2"']),
        ("draws: 2", "draws: 2.5", ["mix.draws", "2.5"]),
        ("draws: 2", "draws: true", ["mix.draws", "true"]),
        ("draws: 2", "draws: 0", ["mix.draws", "1", "0"]),
        ("draws: 2", "draws: 99999999999", ["mix.draws", "1000"]),
        ("learning_rate: 0.001", "learning_rate: 2e-5", ["tune.learning_rate", "2.0e-5"]),
        ("untuned: true", "untuned: 1", ["untuned", "boolean"]),
        ("share: 0.0", "share: -0.5", ["mix.arms.0.share", "-0.5"]),
        ("schedule: constant", "schedule: cosin", ["tune.schedule", "'cosine'", "'linear'", "'constant'"]),
        ("name: small", "name: Not A Slug", ["name", "Not A Slug"]),
        ("codedose: 1", "codedose: 2", ["codedose", "1"]),
        ("arm: Code", "arm: Cod", ["'Cod'", "General, Code"]),
        ("against: General", "against: Code", ["itself"]),
        ("- name: gsm8k", "- name: coin_flip", ["coin_flip", "more than once"]),
        ("level: 1", "level: null", ["coin_flip", "level"]),
        ("level: 1", "level: 5", ["level", "4"]),
        ("origin: generated", "origin: official", ["coin_flip", "path"]),
        ("budget: 8", "budget: 9", ["9", "4", "multiple"]),
        ("math: 2", "math: 8", ["mix.math", "mix.budget"]),
        ("question: Does code help?", "question: 2024-01-01", ["2024-01-01", "quotes"]),
        ("question: Does code help?", 'question: "\\ud800"', ["surrogate"]),
        ("margin: 2.0", "margin: .nan", ["number"]),
        ("margin: 2.0", "margin: 1.0e+999", ["number"]),
        ("margin: 2.0", f"margin: {'9' * 5000}", ["number"]),
        ("caution: null", "caution: !!python/object/apply:os.system ['echo']", ["python/object"]),
        ("caution: null", "caution: !!set {a}", ["set"]),
    ],
)
def test_a_wrong_value_is_told_in_one_sentence(old, new, words):
    text, line = with_line(old, new)
    sentence = said(text)
    assert all(word in sentence for word in words)
    near = {"arm: Code", "against: General", "- name: gsm8k", "budget: 8", "math: 2", "level: 1", "origin: generated"}
    if old.strip() not in near:  # those are wrong together with another place: the section's line is told
        assert sentence.startswith(f"s.yaml: line {line}: ")
    else:
        assert re.match(r"s\.yaml: line [1-9]\d*: ", sentence)


def test_each_of_several_mistakes_is_told_once():
    text = TEXT.replace("draws: 2", "draws: two").replace("untuned: true", "untuned: perhaps")
    with pytest.raises(StudyError) as problem:
        parse(text, "s.yaml")
    assert [re.search(r"draws|untuned", line)[0] for line in str(problem.value).splitlines()] == ["draws", "untuned"]


def test_a_key_that_stands_twice_is_refused():
    text = TEXT.replace("  draws: 2\n", "  draws: 2\n  draws: 5\n")
    first = line_of("draws: 2", TEXT)
    assert f"line {first + 1}: 'draws' stands already in line {first}" in said(text)


def test_a_missing_section_is_named():
    assert "label is missing" in said(TEXT.replace("label:\n  by: stated\n  llm: null\n  audit: null\n", ""))


def test_one_arm_is_not_a_comparison():
    assert "mix.arms: must have at least 2 entries, not 1" in said(
        yaml.safe_dump(changed(SMALL, {"mix.arms": SMALL["mix"]["arms"][1:]}))
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("# only a comment\n", "empty"),
        ("just words", "object"),
        ("- a\n- list\n", "object"),
        ("a:\n\tb: 1", "line 2"),
        (TEXT + "---\na: 1\n", "another document"),
        ("? [a, b]\n: 1\n", "key"),
        ("a: &a [*a]", "deep"),
        ("a: " + "[" * 1_500, "deep"),
        ("a: " + "{a: " * 800 + "1" + "}" * 800, "deep"),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_yaml_that_is_no_study_is_one_clear_error(text, word):
    assert word in said(text)


def test_aliases_that_multiply_are_refused_before_they_are_followed():
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    assert "more than" in said(laughs)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"\xff\xfe\x00garbage", "UTF-8"),
        (TEXT.encode("latin-1").replace(b"Does", b"D\xe9s"), "UTF-8"),
        (b"a: 1\n" * (LARGEST_FILE // 5 + 1), "larger than"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "UTF-8"),
        (b"name: \x00\x01", "YAML"),
    ],
)
def test_a_file_that_is_no_text_is_named(tmp_path, content, word):
    (tmp_path / "s.yaml").write_bytes(content)
    with pytest.raises(StudyError, match=word) as problem:
        load(tmp_path / "s.yaml")
    assert str(problem.value).startswith(f"{tmp_path / 's.yaml'}: ")


def test_a_file_that_is_not_there_and_a_folder_are_named(tmp_path):
    with pytest.raises(StudyError, match=r"gone\.yaml: there is no such study file; 'codedose new'"):
        load(tmp_path / "gone.yaml")
    with pytest.raises(StudyError, match=re.escape(f"{tmp_path}: cannot be read")):
        load(tmp_path)


@given(st.text(st.characters(codec="utf-8"), max_size=200) | st.text("ab:-[]{}&*!?|>'\"%@`,# \n\t0", max_size=60))
@settings(max_examples=200)
def test_any_text_is_refused_as_a_study_error(text):
    with pytest.raises(StudyError, match=r"s\.yaml: "):
        parse(text, "s.yaml")


keys = st.sampled_from([*SMALL, "x"])
junk = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
)


@given(keys, junk)
@settings(max_examples=80)
def test_junk_in_any_section_is_a_study_error_or_a_study(key, value):
    text = yaml.safe_dump({**SMALL, key: value}, sort_keys=False)
    try:
        wanted = Study.model_validate_json(json.dumps({**SMALL, key: value}))
    except ValueError:
        with pytest.raises(StudyError, match=r"s\.yaml: "):
            parse(text, "s.yaml")
    else:
        assert parse(text, "s.yaml") == wanted


# The published schema


def test_the_schema_states_every_key_and_allows_no_other():
    schema = json_schema()
    sections = {"Study": schema, **schema["$defs"]}
    for section in sections.values():
        assert section["additionalProperties"] is False
        assert set(section["required"]) == set(section["properties"]) - {"remote_code"}
    assert list(schema["properties"]) == list(SMALL)


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_shipped_studies_follow_the_schema(path):
    schema = json_schema()

    def follow(part: dict, value: object) -> None:
        part = schema["$defs"][part["$ref"].rsplit("/", 1)[1]] if "$ref" in part else part
        if isinstance(value, dict):
            assert sorted(value) == sorted(part["required"])
            for key, inner in value.items():
                follow(part["properties"][key], inner)
        elif isinstance(value, list):
            part = next((each for each in part.get("anyOf", []) if each.get("type") == "array"), part)
            places = part.get("prefixItems", [part.get("items")] * len(value))
            for place, inner in zip(places, value, strict=True):
                follow(place, inner)
        else:
            assert value in part.get("enum", [part.get("const", value)])

    follow(schema, yaml.safe_load(path.read_text()))


def test_the_keys_of_every_section_are_known():
    assert keys_at(Study, ("mix", "arms", 0)) == ["name", "share", "repeat", "control"]
    assert keys_at(Study, ("analyse", "consistency")) == ["consistent", "opposite"]
    assert keys_at(Study, ()) == list(SMALL)
