"""Study: everything that decides the result, in one typed, frozen value without defaults.

A YAML file flows in; a `Study` flows out, or one StudyError that names the file, the line, what
is wrong there and what would be right. What decides only speed (cores, GPUs, where the store is)
is said on the command line and is not part of a study.
"""

import difflib
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from codedose.errors import StudyError

LARGEST_FILE = 200_000  # bytes; a study is a page of text, and YAML takes seconds for a megabyte
MOST_NODES = 100_000  # after aliases are followed, so that nested ones cannot explode
PLAIN = ("map", "seq", "str", "int", "float", "bool", "null", "merge")

Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[\w][\w .+%-]*$")]
Count = Annotated[int, Field(ge=1)]
Repeats = Annotated[int, Field(ge=1, le=1000)]  # a plan holds them all
Unit = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Strict(BaseModel):
    """A section of a study: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Source(Strict):
    """One source of conversations."""

    path: str = Field(
        description="a file, a folder, dataset_info.json#name, builtin:starter, or a hub dataset id; "
        "relative to the study file"
    )
    revision: str | None = Field(description="for a hub dataset id the 40-digit commit; null for local files")
    licence: str = Field(min_length=1, description="the licence as its source states it, or 'not stated'")


class Cleaning(Strict):
    """What is mended in a conversation, and what keeps one out. Empty ones and broken order always are."""

    chunks: Literal["join", "keep"] = Field(description="ShareGPT chunks <base>_<n>: joined again, or as they are")
    longest: Count = Field(description="characters; longer conversations are cut at a turn, or between blocks of code")
    languages: tuple[str, ...] | None = Field(description="ISO 639-1 codes of the languages kept, or null: all")
    refusals: Literal["drop", "keep"] = Field(description="replies that only refuse, and messages about limits")
    markup: Literal["mend", "keep"] = Field(description="HTML remnants and markdown escapes outside code")
    personal_data: Literal["mask", "keep"] = Field(description="e-mail addresses, phone numbers, keys and tokens")
    near_duplicates: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        description="Jaccard similarity of word 5-grams from which one of two conversations leaves, or null"
    )


class Pool(Strict):
    """Where the conversations come from, and which of them may enter."""

    sources: tuple[Source, ...] = Field(min_length=1)
    clean: Cleaning
    leaks: Literal["drop", "keep"] = Field(
        description="conversations that contain benchmark items: left out of every arm, or kept and counted"
    )


class Endpoint(Strict):
    """An OpenAI-compatible endpoint that labels. Its key comes from the environment (CODEDOSE_LLM_KEY) only."""

    url: str = Field(description="such as http://127.0.0.1:8000/v1")
    model: str
    dollars_per_million_in: Annotated[float, Field(ge=0)] = Field(description="price of a million tokens sent")
    dollars_per_million_out: Annotated[float, Field(ge=0)] = Field(description="price of a million tokens received")


class Labelling(Strict):
    """Who says whether an example is coding, math or other."""

    by: Literal["stated", "rules", "model", "llm"] = Field(
        description="stated: the source's own labels; rules: code-like text; model: the built-in classifier of "
        "purpose; llm: a model behind an endpoint"
    )
    llm: Endpoint | None = Field(description="the endpoint where by is llm, else null")
    audit: str | None = Field(description="a file of hand labels from 'codedose label --audit', or null")

    @model_validator(mode="after")
    def says_whom_to_ask(self) -> "Labelling":
        if (self.by == "llm") != (self.llm is not None):
            raise ValueError("llm must name the endpoint where by is llm, and be null elsewhere")
        return self


Control = Literal["other_draw", "no_comments", "scrambled_identifiers", "shuffled_lines", "non_code"]


class Arm(Strict):
    """One mix: the share of coding among its coding and other examples."""

    name: Name
    share: Unit
    repeat: dict[Literal["coding", "math", "other"], Annotated[int, Field(ge=2, le=100)]] | None = Field(
        description="how often each example of a label stands in the arm, such as {coding: 4}; null: once"
    )
    control: Control | None = Field(
        description="a negative control: other examples of the same share (other_draw), its code changed "
        "(no_comments, scrambled_identifiers, shuffled_lines), or code replaced by other examples of the same "
        "length (non_code); null for an ordinary arm"
    )


class Mix(Strict):
    """How each arm's training set is drawn from the labelled pool."""

    match_on: Literal["examples", "tokens", "loss_tokens"] = Field(
        description="the unit in which arms are of equal size"
    )
    tokenizer: str | None = Field(description="the backbone whose tokenizer counts tokens; null: none are counted")
    design: Literal["fixed", "additive"] = Field(
        description="fixed: coding takes the place of other; additive: coding comes on top, confounded with the budget"
    )
    budget: Count = Field(description="size of each arm, in the unit of match_on; additive: without its coding")
    math: Annotated[int, Field(ge=0)] = Field(description="of these, math: the same in every arm")
    stratify: tuple[Literal["reply_length", "turns"], ...] = Field(
        description="what is matched between coding and other beyond the budget; [] for nothing"
    )
    draws: Repeats = Field(description="independent choices of training examples: the unit of replication")
    arms: tuple[Arm, ...] = Field(min_length=1)


class Prompt(Strict):
    """The one template for training and asking, for all arms and backbones."""

    template: Literal["chatml", "vicuna", "alpaca", "own"] = Field(description="own: the backbone's chat template")
    system: str | None = Field(description="a system message before every conversation, or null")


class Tune(Strict):
    """The optimisation, equal for all arms."""

    method: Literal["full"]
    seeds: Repeats = Field(description="training runs of each backbone, arm and draw")
    epochs: Count
    step_size: Count = Field(description="what an optimiser step takes in, in the unit of mix.match_on")
    max_length: Count = Field(description="tokens; longer conversations are cut at a turn boundary")
    optimiser: Literal["adamw"]
    learning_rate: Positive
    schedule: Literal["cosine", "linear", "constant"]
    warmup: Unit = Field(description="share of the steps in which the learning rate rises")
    weight_decay: Annotated[float, Field(ge=0)]
    betas: tuple[Unit, Unit]
    clip: Positive = Field(description="largest gradient norm")
    loss: Literal["token_mean", "example_mean"] = Field(description="what the loss of a step is the mean of")
    precision: Literal["bfloat16_mixed", "float32"] = Field(
        description="bfloat16_mixed: bfloat16 compute, float32 weights and optimiser states"
    )


class Backbone(Strict):
    """A model before tuning."""

    name: Name
    model: str = Field(description="builtin:smollm2-135m, a local folder, a .gguf file, or a hub id")
    revision: str | None = Field(description="for a hub id the 40-digit commit; null for local files")
    family: Name
    scale: Positive = Field(description="billions of parameters")


class TaskUse(Strict):
    """How a task is asked in this study."""

    name: Name
    origin: Literal["generated", "official"]
    path: str | None = Field(description="the file of official items; null for generated ones")
    level: Annotated[int, Field(ge=1, le=4)] | None = Field(description="difficulty of generated items")
    count: Count = Field(description="items asked; of official ones, a fixed random choice")
    max_new_tokens: Count

    @model_validator(mode="after")
    def says_where_its_items_are(self) -> "TaskUse":
        if self.origin == "official" and self.path is None:
            raise ValueError(f"the task {self.name!r} asks official items: path must name their file")
        if self.origin == "generated" and self.level is None:
            raise ValueError(f"the task {self.name!r} asks generated items: level must be 1, 2, 3 or 4")
        return self


class Sampled(Strict):
    """Several replies an item, drawn at random by names, so that every run draws alike."""

    samples: Annotated[int, Field(ge=1, le=1000)] = Field(description="replies to each item")
    temperature: Positive
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(description="only the likeliest tokens that make up this share")


class Generate(Strict):
    """How the questions are asked. Engine, dtype and batch plan do change replies."""

    engine: Literal["auto", "transformers", "vllm"] = Field(
        description="auto: vllm where it is installed beside a GPU, else transformers; decided when the plan is made"
    )
    dtype: Literal["bfloat16", "float32"]
    decoding: Literal["greedy"] | Sampled
    batch_tokens: Count = Field(description="tokens of a batch, prompts and all that may follow: what memory must hold")
    forced_tokens: Count = Field(description="tokens after 'Therefore, the answer is'")

    @property
    def samples(self) -> int:
        return 1 if self.decoding == "greedy" else self.decoding.samples


class Contrast(Strict):
    """The comparison named beforehand."""

    arm: str
    against: str


class Consistency(Strict):
    """Which share of backbones with the pooled sign is called consistent, and which opposite."""

    consistent: Unit
    opposite: Unit


class Analyse(Strict):
    """What is concluded from the scores, decided before they exist."""

    primary: Contrast
    reading: Literal["strict", "lenient", "forced"]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    margin: Positive = Field(description="percentage points below which a difference does not matter")
    consistency: Consistency


class Study(Strict):
    """One study: pool, arms, backbones, tasks, and what will be concluded."""

    codedose: Literal[1] = Field(description="the version of this file format")
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    question: str
    caution: str | None = Field(description="what a reader must know before believing the result, or null")
    pool: Pool
    label: Labelling
    mix: Mix
    prompt: Prompt
    tune: Tune
    backbones: tuple[Backbone, ...] = Field(min_length=1)
    untuned: bool = Field(description="whether the backbones are also asked before tuning")
    item_set: Name = Field(
        description="seeds generated items and the choice of official ones: another name, other items"
    )
    tasks: tuple[TaskUse, ...] = Field(min_length=1)
    generate: Generate
    analyse: Analyse
    keep_checkpoints: bool = Field(description="whether checkpoints are kept after their replies are there")

    @model_validator(mode="after")
    def hangs_together(self) -> "Study":
        """Names are unique and refer to something; sizes fit each other."""
        arms = [arm.name for arm in self.mix.arms]
        for kind, names in (
            ("mix.arms", arms),
            ("backbones", [backbone.name for backbone in self.backbones]),
            ("tasks", [task.name for task in self.tasks]),
        ):
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(f"{kind}: {', '.join(repeated)} stands there more than once")
        if len(arms) < 2:
            raise ValueError("mix.arms: must have at least 2 entries, not 1")
        for name in (self.analyse.primary.arm, self.analyse.primary.against):
            if name not in arms:
                raise ValueError(f"analyse.primary: {name!r} is not an arm; the arms are {', '.join(arms)}")
        if self.analyse.primary.arm == self.analyse.primary.against:
            raise ValueError("analyse.primary: an arm cannot be compared with itself")
        if self.mix.math >= self.mix.budget:
            raise ValueError("mix.math must leave room for coding and other examples: less than mix.budget")
        if self.mix.budget % self.tune.step_size:
            raise ValueError(
                f"mix.budget ({self.mix.budget}) must be a multiple of tune.step_size "
                f"({self.tune.step_size}), so that all steps are of equal size"
            )
        if self.mix.tokenizer is None and self.mix.match_on != "examples":
            raise ValueError(f"mix.tokenizer: matching on {self.mix.match_on} needs the backbone that counts")
        if self.mix.tokenizer not in (None, *(backbone.name for backbone in self.backbones)):
            raise ValueError(f"mix.tokenizer: {self.mix.tokenizer!r} is not a backbone of this study")
        if self.mix.design == "additive" and (highest := max(arm.share for arm in self.mix.arms)) == 1:
            raise ValueError(f"mix.arms: with coding on top no arm can have the share {highest:g}")
        return self


def load(path: Path) -> Study:
    """The study in a YAML file. Raises StudyError: file, line, what is wrong, what would be right."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise StudyError(f"{path}: is larger than {LARGEST_FILE:,} bytes; a study file is a page of text")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StudyError(f"{path}: there is no such study file; 'codedose new' writes one to start from") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise StudyError(f"{path}: cannot be read as UTF-8 text ({problem})") from problem
    return parse(text, str(path))


def parse(text: str, name: str) -> Study:
    """The study in `text`; `name` is how errors call the file."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            raise StudyError(f"{name}: is empty; 'codedose new' writes a study to start from")
        refuse_strange(root, name)
        data = json.dumps(yaml.load(text, Loader=yaml.SafeLoader), allow_nan=False)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark else ""
        raise StudyError(f"{name}: {place}is not valid YAML ({getattr(problem, 'problem', problem)})") from problem
    except RecursionError:
        raise StudyError(
            f"{name}: its values stand too deep inside each other; a study file is a page of text"
        ) from None
    except (TypeError, ValueError) as problem:
        raise StudyError(f"{name}: holds a value that a study cannot hold ({problem})") from problem
    try:
        return Study.model_validate_json(data)
    except ValidationError as problem:
        lines = [say(error, root) for error in innermost(problem.errors(include_url=False))]
        raise StudyError("\n".join(f"{name}: {line}" for line in lines)) from None


def refuse_strange(root: yaml.Node, name: str) -> None:
    """Refuse what YAML allows and a study does not: values of other types than text, numbers and yes or no,
    aliases that multiply, and a later key that replaces an earlier one in silence."""
    for count, node in enumerate(nodes(root)):
        if count > MOST_NODES:
            raise StudyError(f"{name}: holds more than {MOST_NODES:,} values; a study file is a page of text")
        if strange := strangeness(node):
            raise StudyError(f"{name}: line {node.start_mark.line + 1}: {strange}")
        if isinstance(node, yaml.MappingNode):
            refuse_duplicates(node, name)


def strangeness(node: yaml.Node) -> str:
    """What keeps a node out of a study; empty when nothing does."""
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind not in PLAIN:
        what = shorten(node.value) if isinstance(node, yaml.ScalarNode) else "this"
        return f"{what} is a {kind} to YAML; if it is text, put it in quotes"
    if isinstance(node, yaml.MappingNode) and any(not isinstance(key, yaml.ScalarNode) for key, _ in node.value):
        return "a key must be a word"
    if (kind == "int" and len(node.value) > 30) or (kind == "float" and not math.isfinite(yaml.safe_load(node.value))):
        return f"{shorten(node.value)} is not a number that a study can hold"
    if kind == "str" and not node.value.isascii() and any("\ud800" <= c <= "\udfff" for c in node.value):
        return "holds half of a character (a lone surrogate)"
    return ""


def refuse_duplicates(node: yaml.MappingNode, name: str) -> None:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.value in seen:
            raise StudyError(f"{name}: line {line}: {key.value!r} stands already in line {seen[key.value]}")
        seen[key.value] = line


def nodes(node: yaml.Node) -> Iterator[yaml.Node]:
    """Every node below `node`, itself first."""
    yield node
    if isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from nodes(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from nodes(value)


def innermost(errors: Sequence[Any]) -> list[Any]:
    """The errors without those that only follow from another one further in, such as a list that a bad entry left."""
    places = [error["loc"] for error in errors]
    return [e for e in errors if not any(p != e["loc"] and p[: len(e["loc"])] == e["loc"] for p in places)]


def say(error: Any, root: yaml.Node) -> str:
    """One validation error as a sentence with its line and, where there is one, the nearest right word."""
    place = ".".join(str(part) for part in error["loc"])
    line = f"line {line_of(root, error['loc'])}: "
    if error["type"] == "extra_forbidden":
        known = keys_at(error["loc"][:-1])
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"{line}{place} is not a key here; {hint}known keys: {', '.join(known)}"
    if error["type"] == "missing":
        return f"{line}{place} is missing; nothing that decides the result has a default"
    if error["type"] in ("too_short", "too_long"):
        few = error["type"] == "too_short"
        bound = f"at least {error['ctx']['min_length']}" if few else f"at most {error['ctx']['max_length']}"
        return f"{line}{place}: must have {bound} entries, not {error['ctx']['actual_length']}"
    message = error["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if error["type"] == "value_error":  # from a check of whole sections: the message begins with its place
        first = tuple(re.match(r"[\w.]*", message)[0].split("."))  # type: ignore[index]
        return f"line {line_of(root, (*error['loc'], *first))}: {place}{': ' if place else ''}{message}"
    return f"{line}{place}{': ' if place else ''}{message}, not {shorten(error['input'])}{number_hint(error)}"


def number_hint(error: Any) -> str:
    """Why YAML did not see a number where a person sees one."""
    if error["type"] not in ("float_type", "int_type") or not isinstance(error["input"], str):
        return ""
    return " (text to YAML: a number stands without quotes, and an exponent needs a point, as in 2.0e-5)"


def shorten(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def line_of(root: yaml.Node, loc: tuple[int | str, ...]) -> int:
    """The line (from 1) of the deepest node on the way to `loc`."""
    node, line = root, root.start_mark.line + 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def keys_at(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that the section at `loc` may hold."""
    model: Any = Study
    for part in loc:
        if isinstance(part, int):
            continue
        model = model.model_fields[part].annotation
        while not (isinstance(model, type) and issubclass(model, BaseModel)):
            model = model.__args__[0]
    return list(model.model_fields)


def json_schema() -> dict[str, Any]:
    """The published JSON schema of a study file, for editors that check YAML as it is typed."""
    schema = Study.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "codedose study", **schema}
