"""Study: everything that decides the result, in one typed, frozen value without defaults.

A YAML file flows in; a `Study` flows out, or one StudyError that names the file, the line, what
is wrong there and what would be right. What decides only speed (cores, GPUs, where the store is)
is said on the command line and is not part of a study.
"""

from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from codedose.errors import StudyError
from codedose.keys import DEVICES
from codedose.stated import file_text, stated
from codedose.tables import UNTUNED

KIND, MEND = "study", "; 'codedose new' writes one to start from"  # what errors say of the file


def a_path(text: str) -> str:
    """`text`, where a file system can look for it; ValueError for what none can."""
    if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError("holds a sign that no path has (NUL, or half of a surrogate pair)")
    if max(len(part.encode()) for part in text.split("/")) > 255 or len(text.encode()) > 4000:
        raise ValueError("is longer than a path can be (255 bytes between two slashes)")
    return text


def no_device(name: str) -> str:
    """`name`, where a file may be called so on every system; ValueError for a device's name."""
    if name in DEVICES:
        raise ValueError("is the name of a device on some systems; choose another")
    return name


PathText = Annotated[str, AfterValidator(a_path)]
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

    path: PathText = Field(
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
    audit: PathText | None = Field(description="a file of hand labels from 'codedose label --audit', or null")

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
    held_out: Annotated[int, Field(ge=0)] = Field(
        description="examples of each label that no arm trains on: their loss before and after tuning says whether "
        "the treatment took; 0: it is not measured"
    )
    draws: Repeats = Field(description="independent choices of training examples: the unit of replication")
    arms: tuple[Arm, ...] = Field(min_length=1)


class Prompt(Strict):
    """The one template for training and asking, for all arms and backbones."""

    template: Literal["chatml", "vicuna", "alpaca", "own"] = Field(description="own: the backbone's chat template")
    system: str | None = Field(description="a system message before every conversation, or null")


class Lora(Strict):
    """Low-rank adapters on a frozen backbone."""

    rank: Annotated[int, Field(ge=1, le=4096)]
    alpha: Positive = Field(description="what an adapter adds is scaled by alpha / rank")
    dropout: Annotated[float, Field(ge=0, lt=1)]
    targets: Literal["all_linear", "attention"] | tuple[Name, ...] | dict[Name, tuple[Name, ...]] = Field(
        description="the linear layers that are adapted: all of the blocks, those of their attention, names such as "
        "[q_proj, v_proj], or such names for each family"
    )


class Tune(Strict):
    """The optimisation, equal for all arms."""

    method: Literal["full", "lora"]
    lora: Lora | None = Field(description="the adapters where method is lora, else null")
    seeds: Repeats = Field(description="training runs of each backbone, arm and draw")
    epochs: Count | None = Field(description="how often every example is seen; null where steps says how long")
    steps: Count | None = Field(description="optimiser steps, where epochs is null")
    step_size: Count = Field(description="what an optimiser step takes in, in the unit of mix.match_on")
    max_length: Count = Field(description="tokens of a conversation that are trained on")
    over_long: Literal["cut", "redraw"] = Field(
        description="what becomes of longer ones. cut: at a turn boundary; redraw: none is drawn into any arm, as "
        "counted by the backbone of mix.tokenizer (other backbones still cut theirs)"
    )
    shrinkage: Unit = Field(
        description="how much two arms of a draw may differ in the share of their tokens that is cut off: beyond it "
        "nothing is trained; 1 for any"
    )
    optimiser: Literal["adamw"]
    learning_rate: Positive
    schedule: Literal["cosine", "linear", "constant"]
    warmup: Unit = Field(description="share of the steps in which the learning rate rises")
    weight_decay: Annotated[float, Field(ge=0)]
    betas: tuple[Unit, Unit]
    clip: Positive = Field(description="largest gradient norm")
    loss: Literal["token_mean", "example_mean"] = Field(description="what the loss of a step is the mean of")
    precision: Literal["bfloat16_mixed", "float32", "bfloat16_pure"] = Field(
        description="bfloat16_mixed: bfloat16 compute, float32 weights and optimiser states; bfloat16_pure: bfloat16 "
        "throughout, which rounds small updates away"
    )

    @model_validator(mode="after")
    def says_how_and_how_long(self) -> "Tune":
        if (self.method == "lora") != (self.lora is not None):
            raise ValueError("lora must describe the adapters where method is lora, and be null elsewhere")
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("epochs: give either epochs or steps, and null for the other")
        return self


class Backbone(Strict):
    """A model before tuning."""

    name: Name
    model: PathText = Field(description="builtin:smollm2-135m, a local folder, a .gguf file, or a hub id")
    revision: str | None = Field(description="for a hub id the 40-digit commit; null for local files")
    family: Name
    scale: Positive = Field(description="billions of parameters")
    # The one key that may be left out, so that code is run only where somebody wrote it down.
    remote_code: bool = Field(
        default=False,
        exclude_if=lambda said: not said,
        description="true: the Python code that the model's folder brings is run, as pinned by `revision` or, of a "
        "folder, by its digest; false or left out: such a model is refused",
    )

    @model_validator(mode="after")
    def pins_what_it_runs(self) -> "Backbone":
        if self.remote_code and (self.model.startswith("builtin:") or self.model.endswith(".gguf")):
            raise ValueError(f"remote_code: {self.model!r} brings no code; leave the key out")
        return self


class TaskUse(Strict):
    """How a task is asked in this study."""

    name: Name
    origin: Literal["generated", "official", "own"] = Field(
        description="generated or official items of a built-in task, or a task of your own"
    )
    path: PathText | None = Field(
        description="the file of official items, or the task file (YAML) of a task of your own; null for generated ones"
    )
    level: Annotated[int, Field(ge=1, le=4)] | None = Field(description="difficulty of generated items")
    count: Count = Field(description="items asked; of official and your own ones, a fixed random choice")
    max_new_tokens: Count | None = Field(description="longest reply; null: as a task file of your own says")

    @model_validator(mode="after")
    def says_where_its_items_are(self) -> "TaskUse":
        if self.max_new_tokens is None and self.origin != "own":
            raise ValueError(f"max_new_tokens: the built-in task {self.name!r} has no limit of its own; give one")
        if self.origin == "official" and self.path is None:
            raise ValueError(f"the task {self.name!r} asks official items: path must name their file")
        if self.origin == "generated" and self.level is None:
            raise ValueError(f"the task {self.name!r} asks generated items: level must be 1, 2, 3 or 4")
        return self

    @property
    def limit(self) -> int:
        """Tokens of the longest reply, once it is known (Planner.uses)."""
        if self.max_new_tokens is None:
            raise StudyError(f"the task {self.name!r} leaves max_new_tokens to its own file, which was not read")
        return self.max_new_tokens


class Joined(Strict):
    """A cell that was trained elsewhere: it is asked, scored and compared, but not tuned."""

    backbone: Name
    arm: Name = Field(description="an arm of mix.arms, or one that exists only in checkpoints trained elsewhere")
    share: Unit | None = Field(
        description="of an arm that is not in mix.arms: its share of coding, or null where it is not known"
    )
    draw: Annotated[int, Field(ge=0)]
    seed: Annotated[int, Field(ge=0)]
    checkpoint: Annotated[PathText, Field(min_length=1)] = Field(
        description="the folder of a checkpoint (transformers) or of a LoRA adapter (PEFT); relative to the study file"
    )

    @property
    def place(self) -> tuple[str, str, int, int]:
        """Which cell it is."""
        return self.backbone, self.arm, self.draw, self.seed


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
    model_check: bool = Field(description="whether a mixed logistic model is fitted beside: up to some minutes")


class Study(Strict):
    """One study: pool, arms, backbones, tasks, and what will be concluded."""

    codedose: Literal[1] = Field(description="the version of this file format")
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$"), AfterValidator(no_device)]
    question: str
    caution: str | None = Field(description="what a reader must know before believing the result, or null")
    pool: Pool
    label: Labelling
    mix: Mix
    prompt: Prompt
    tune: Tune
    backbones: tuple[Backbone, ...] = Field(min_length=1)
    joined: tuple[Joined, ...] | None = Field(description="cells that were trained elsewhere, or null")
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
        self.joins_whole_cells()
        arms += self.foreign
        for name in (self.analyse.primary.arm, self.analyse.primary.against):
            if name not in arms:
                raise ValueError(f"analyse.primary: {name!r} is not an arm; the arms are {', '.join(arms)}")
        if self.analyse.primary.arm == self.analyse.primary.against:
            raise ValueError("analyse.primary: an arm cannot be compared with itself")
        self.tells_every_family_its_targets()
        if self.mix.math >= self.mix.budget:
            raise ValueError("mix.math must leave room for coding and other examples: less than mix.budget")
        if self.mix.budget % self.tune.step_size:
            raise ValueError(
                f"mix.budget ({self.mix.budget}) must be a multiple of tune.step_size "
                f"({self.tune.step_size}), so that all steps are of equal size"
            )
        if self.mix.tokenizer is None and self.tune.over_long == "redraw":
            raise ValueError("mix.tokenizer: tune.over_long is redraw, which needs the backbone that counts tokens")
        if self.mix.tokenizer is None and self.mix.match_on != "examples":
            raise ValueError(f"mix.tokenizer: matching on {self.mix.match_on} needs the backbone that counts")
        if self.mix.tokenizer not in (None, *(backbone.name for backbone in self.backbones)):
            raise ValueError(f"mix.tokenizer: {self.mix.tokenizer!r} is not a backbone of this study")
        if self.mix.design == "additive" and (highest := max(arm.share for arm in self.mix.arms)) == 1:
            raise ValueError(f"mix.arms: with coding on top no arm can have the share {highest:g}")
        return self

    def tells_every_family_its_targets(self) -> None:
        """Raises ValueError where tune.lora.targets are told by family and one is left out."""
        told = self.tune.lora.targets if self.tune.lora else None
        if isinstance(told, dict) and (left := sorted({b.family for b in self.backbones} - set(told))):
            raise ValueError(f"tune.lora.targets: names no modules for the family {left[0]!r}; add it there")

    @property
    def foreign(self) -> dict[str, float | None]:
        """The arms that exist only in checkpoints trained elsewhere, with their shares."""
        own = {arm.name for arm in self.mix.arms}
        return {each.arm: each.share for each in reversed(self.joined or ()) if each.arm not in own}

    def joins_whole_cells(self) -> None:
        """Raises ValueError for a joined cell that is none of the study's, and for an arm of which some are lacking."""
        seen: dict[object, int] = {}
        for number, each in enumerate(self.joined or ()):
            place = f"joined.{number}"
            if each.backbone not in (backbone.name for backbone in self.backbones):
                raise ValueError(f"{place}.backbone: {each.backbone!r} is not a backbone of this study")
            if each.arm == UNTUNED:
                raise ValueError(f"{place}.arm: {UNTUNED!r} is the backbone before tuning; give the arm another name")
            if each.share is not None and each.arm not in self.foreign:
                raise ValueError(f"{place}.share: must be null, since mix.arms says the share of {each.arm!r}")
            if each.share != self.foreign.get(each.arm, each.share):
                raise ValueError(f"{place}.share: {each.arm!r} has another share elsewhere in joined; give it one")
            for key, most in (("draw", self.mix.draws), ("seed", self.tune.seeds)):
                if getattr(each, key) >= most:
                    raise ValueError(f"{place}.{key}: must be less than {most}, as many as the study has")
            for key, value in (("arm", each.place), ("checkpoint", each.checkpoint)):
                if value in seen:
                    raise ValueError(f"{place}.{key}: stands already in joined.{seen[value]}; each run is one cell")
                seen[value] = number
        self.refuse_lacking()

    def refuse_lacking(self) -> None:
        """Raises ValueError for an arm trained elsewhere that lacks a backbone, draw or seed: nothing can train it."""
        there = {each.place for each in self.joined or ()}
        names = [backbone.name for backbone in self.backbones]
        for place in product(names, self.foreign, range(self.mix.draws), range(self.tune.seeds)):
            if place not in there:
                backbone, arm, draw, seed = place
                raise ValueError(
                    f"joined: the arm {arm!r} is not in mix.arms and lacks {backbone}, draw {draw}, seed {seed}; "
                    "give a checkpoint for every backbone, draw and seed"
                )


def load(path: Path) -> Study:
    """The study in a YAML file. Raises StudyError: file, line, what is wrong, what would be right."""
    return parse(file_text(path, KIND, MEND), str(path))


def parse(text: str, name: str) -> Study:
    """The study in `text`; `name` is how errors call the file."""
    return stated(text, name, Study, KIND, MEND)


def json_schema() -> dict[str, Any]:
    """The published JSON schema of a study file, for editors that check YAML as it is typed."""
    schema = Study.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "codedose study", **schema}
