"""Study -> steps: the only file that knows the order of the story.

pool -> label -> held_out -> mix (arm x draw) -> balance
  leaks -> exclude ---^                        -> lengths (backbone): before anything is trained
mix -> tune (backbone x arm x draw x seed) -> generate (x task) -> score -> analyse -> report
             held_out -> loss (cell) ---^         items (task) ---^

The leak search looks at the pool and all items, but an arm depends only on which examples were excluded:
the key of `exclude` is that of its list. Until the search has run, the list and all that rests on it are pending.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from codedose import stages, tables
from codedose.cells import Between, Cell, cells, ends
from codedose.cost import Seconds, main_memory, seconds
from codedose.errors import StudyError
from codedose.generate import resolved
from codedose.generate.engine import VLLM
from codedose.inputs import Inputs
from codedose.keys import fingerprint
from codedose.label.llm import prompt_version
from codedose.label.model import digest
from codedose.pool.known.prints import VERSION as KNOWN_VERSION
from codedose.runner.secrets import HUB, LABELLER, TRACKERS
from codedose.runner.step import HALF, Step, Where
from codedose.runner.store import Store
from codedose.study import Arm, Backbone, Study, TaskUse
from codedose.tasks import task_named
from codedose.tasks.own import own_items, read_task, refuse_unfit, refuse_unreadable, values_of
from codedose.tasks.task import Task, words_of
from codedose.tune.means import Means

# Bump one when its stage writes something else for the same input: tests/test_golden.py says when.
VERSIONS = {
    "pool": 2,
    "label": 2,
    "items": 2,
    "leaks": 1,
    "exclude": 1,
    "held_out": 1,
    "mix": 2,
    "balance": 2,
    "lengths": 1,
    "together": 1,
    "tune": 2,
    "interpolate": 1,
    "loss": 1,
    "generate": 3,
    "score": 3,
    "analyse": 2,
    "report": 4,
}

AMONG_ARMS = {"seeds", "over_long", "shrinkage"}  # of study.Tune: how many trainings, and on which draws
FEWER = "let fewer steps run at once (--cores, --gpus)"
TOO_LARGE = {
    "tune": "choose tune.method: lora, share the training out (--processes with --sharded), lower tune.max_length or "
    "choose a smaller backbone",
    "loss": f"{FEWER}, lower tune.max_length or choose a smaller backbone",
    "generate": f"{FEWER}, lower generate.batch_tokens (`codedose plan STUDY --calibrate` proposes one) or choose a "
    "smaller backbone",
}
SMALL = 0.3  # billions of parameters: below, one core a process uses a CPU better than many cores one process


@dataclass(frozen=True)
class Planner:
    """A study, where its relative paths start, and what this machine offers; `steps` is its plan.

    `excluded` holds the examples that the leak search found, sorted; None: it has not run yet (see `settled`).
    `without` names cells that failed: the plan then ends in a partial report that says so, with the failures in `why`,
    by the cells' names; `unmeasured` those that only lack their loss on held-out text. `own` are tasks that are given
    in code and not in files. `means` say how trainings are done here.
    """

    study: Study
    base: Path
    cores: int = 1
    gpus: int = 0
    excluded: tuple[str, ...] | None = None
    without: frozenset[str] = frozenset()
    unmeasured: frozenset[str] = frozenset()
    why: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    own: tuple[Task, ...] = ()
    means: Means = field(default_factory=Means)

    @cached_property
    def steps(self) -> list[Step]:
        """All steps, each after those it needs; the last is the report."""
        arms = [*self.held_out, *self.draws.values(), self.balance, *self.lengths.values()]
        told: list[Step] = [*self.search, self.exclude, self.label, *arms, *self.together.values()]
        tunes: list[Step] = []
        losses: list[Step] = []
        asked: list[Step] = []
        scored: list[Step] = []
        for cell in self.cells:
            if cell.name in self.without:
                continue
            tune = self.tune(cell) if cell.is_tuned_here else None
            loss = [self.loss(cell, held_out, tune) for held_out in self.held_out if cell.name not in self.unmeasured]
            generate = [self.generate(cell, task, tune) for task in self.uses]
            score = self.score(cell, generate)
            told += [*([tune] if tune else []), *loss, *generate, score]
            tunes += [tune] if tune else []
            losses += loss
            asked += generate
            scored.append(score)
        analyse = self.analyse(scored)
        return [*told, analyse, self.report(analyse, [*scored, *asked, *tunes, *losses])]

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(cells(self.study))

    @property
    def has_cells(self) -> bool:
        """Whether any tuned cell is left to say something about."""
        return any(cell.arm and cell.name not in self.without for cell in self.cells)

    @cached_property
    def pool(self) -> Step:
        known = self.study.pool.model_dump(mode="json")
        return Step(
            "pool",
            "pool",
            stages.pool_step,
            VERSIONS["pool"],
            {"sources": known["sources"], "clean": known["clean"]},
            identity={"digests": [self.inputs.source_digest(source) for source in self.study.pool.sources]},
            given={"folder": str(self.base.resolve()), "processes": self.cores},
            where=Where(cores=self.cores),
            weight=2,
            secrets=needed_for(HUB, any(source.revision for source in self.study.pool.sources)),
        )

    @property
    def search(self) -> list[Step]:
        """The steps that find out which examples are excluded."""
        return [self.pool, *self.items.values(), self.leaks]

    @cached_property
    def leaks(self) -> Step:
        needs = (self.pool, *self.items.values())
        known = {"reference": KNOWN_VERSION}
        return Step("leaks", "pool", stages.leaks_step, VERSIONS["leaks"], identity=known, needs=needs)

    @cached_property
    def exclude(self) -> Step:
        """The list of excluded examples, named by what it holds."""
        listed: tuple[str, ...] | None = () if self.study.pool.leaks == "keep" else self.excluded
        return Step(
            "exclude",
            "leaks",
            stages.exclude_step,
            VERSIONS["exclude"],
            identity={"digest": "pending" if listed is None else fingerprint(listed)},
            given={"excluded": listed},
        )

    @property
    def is_pending(self) -> bool:
        """Whether it is not known yet which examples are excluded."""
        return self.excluded is None and self.study.pool.leaks == "drop"

    @cached_property
    def label(self) -> Step:
        label = self.study.label
        decides = {"url", "model"}
        settings = {"by": label.by, "llm": label.llm.model_dump(include=decides) if label.llm else None}
        prices = label.llm.model_dump(exclude=decides) if label.llm else None
        return Step(
            "label",
            label.by,
            stages.label_step,
            VERSIONS["label"],
            settings,
            (self.pool,),
            identity={"labeller": labeller(label.by)},
            given={"prices": prices},
            shares=stages.REPLIES if label.llm else None,
            secrets=needed_for(LABELLER, label.llm),
        )

    @cached_property
    def held_out(self) -> tuple[Step, ...]:
        """The step that sets examples aside, where the study holds some out. It depends on no arm."""
        mix = self.study.mix
        if not mix.held_out:
            return ()
        needed = [label for label in tables.LABELS if label != "math" or mix.math]
        settings = {"count": mix.held_out, "needed": needed}
        needs = (self.pool, self.exclude, self.label)
        return (Step("held_out", "pool", stages.held_out_step, VERSIONS["held_out"], settings, needs),)

    @cached_property
    def draws(self) -> dict[tuple[str, int], Step]:
        """One step an arm and draw, made once and shared by all backbones and seeds that are tuned on it."""
        mix, trained = self.study.mix, [cell for cell in self.cells if cell.is_tuned_here]
        needed = {(cell.arm.name, cell.draw) for cell in trained if cell.arm}
        every = product(mix.arms, range(mix.draws))
        return {(arm.name, draw): self.mix(arm, draw) for arm, draw in every if (arm.name, draw) in needed}

    def mix(self, arm: Arm, draw: int) -> Step:
        how = self.study.mix.model_dump(mode="json", exclude={"arms", "draws", "tokenizer", "held_out"})
        counter = next((b for b in self.study.backbones if b.name == self.study.mix.tokenizer), None)
        tune = self.study.tune
        counted = {"max_length": tune.max_length, "over_long": tune.over_long, "prompt": self.prompt}
        return Step(
            "mix",
            f"{arm.name}-d{draw}",
            stages.mix_step,
            VERSIONS["mix"],
            {
                "arm": arm.model_dump(mode="json"),
                "how": how,
                "step_size": tune.step_size,
                "draw": draw,
                "counted": counted if counter else None,
            },
            (self.pool, self.exclude, self.label, *self.held_out),
            identity={"tokenizer": self.inputs.identities[counter.name] if counter else None},
            given={"tokenizer": self.inputs.loadable(counter) if counter else None},
            secrets=loading(counter) if counter else (),
        )

    def drawn(self, cell: Cell) -> Step:
        """The training set of a tuned cell."""
        if cell.arm is None or cell.draw is None:
            raise ValueError(f"{cell.name} is not tuned, so it has no training set")
        return self.draws[cell.arm.name, cell.draw]

    @cached_property
    def balance(self) -> Step:
        needs = (self.pool, self.label, self.leaks, *self.held_out, *self.draws.values())
        shares = {arm.name: arm.share for arm in self.study.mix.arms}
        settings = {"baseline": self.study.analyse.primary.against, "shares": shares}
        audit = self.study.label.audit
        return Step(
            "balance",
            "arms",
            stages.balance_step,
            VERSIONS["balance"],
            settings,
            needs,
            identity={"audit": self.inputs.digest(audit) if audit else None},
            given={"audit": self.inputs.local(audit) if audit else None},
        )

    @cached_property
    def lengths(self) -> dict[str, Step]:
        """One step a backbone that is tuned here: what its tokenizer makes of the arms, before anything is trained."""
        tuned = [cell for cell in self.cells if cell.is_tuned_here and cell.name not in self.without]
        return {cell.backbone.name: self.lengths_of(cell.backbone) for cell in tuned}

    def lengths_of(self, backbone: Backbone) -> Step:
        tune = self.study.tune
        return Step(
            "lengths",
            backbone.name,
            stages.lengths_step,
            VERSIONS["lengths"],
            {
                "backbone": backbone.name,
                "max_length": tune.max_length,
                "shrinkage": tune.shrinkage,
                "prompt": self.prompt,
            },
            tuple(self.draws.values()),
            identity={"tokenizer": self.inputs.identities[backbone.name]},
            given={"tokenizer": self.inputs.loadable(backbone)},
            secrets=loading(backbone),
        )

    @cached_property
    def tasks(self) -> Mapping[str, Task]:
        """The study's tasks by name: built in, from their files, or given in code."""
        return {use.name: self.task(use) for use in self.study.tasks}

    def task(self, use: TaskUse) -> Task:
        if use.origin != "own":
            return task_named(use.name)
        return checked(task_named(use.name, self.own) if use.path is None else read_task(self.base / use.path), use)

    @cached_property
    def uses(self) -> tuple[TaskUse, ...]:
        """How each task is asked, with the limits that stand in task files."""
        limits = {name: task.max_new_tokens for name, task in self.tasks.items()}
        return tuple(
            use if use.max_new_tokens else use.model_copy(update={"max_new_tokens": limits[use.name]})
            for use in self.study.tasks
        )

    @property
    def whole(self) -> Study:
        """The study with what stands in task files."""
        return self.study.model_copy(update={"tasks": self.uses})

    def items_path(self, use: TaskUse) -> str | None:
        """What names a task's items, where they are not generated."""
        return str(Path(str(self.tasks[use.name].items)).resolve()) if use.origin == "own" else use.path

    @cached_property
    def items(self) -> dict[str, Step]:
        """One step a task. A task's items depend on the study's item set, not on its other tasks."""
        return {task.name: self.items_of(task) for task in self.study.tasks}

    def items_of(self, task: TaskUse) -> Step:
        own, place = task.origin == "own", self.items_path(task)
        settings = {
            "task": task.name,
            "origin": task.origin,
            "level": task.level,
            "count": task.count,
            "seed_name": self.study.item_set,
            **({"domain": self.tasks[task.name].domain} if own else {}),
        }
        return Step(
            "items",
            task.name,
            stages.items_step,
            VERSIONS["items"],
            settings,
            identity={"digest": self.inputs.items_digest(place) if place else None},
            given={"path": self.inputs.items_place(place) if place else None},
            secrets=needed_for(HUB, place and self.inputs.is_hub_dataset(place)),
        )

    @cached_property
    def prompt(self) -> Mapping[str, Any]:
        return {"template": self.study.prompt.template, "system": self.study.prompt.system}

    @cached_property
    def words(self) -> Mapping[str, Mapping[str, str]]:
        """The words before the questions of each task."""
        return {name: words_of(task) for name, task in self.tasks.items()}

    @cached_property
    def expected(self) -> Mapping[str, Seconds]:
        """What the steps of each backbone are expected to take, by its name."""
        gpu = self.gpus > 0
        return {backbone.name: seconds(self.whole, backbone, gpu=gpu) for backbone in self.study.backbones}

    @cached_property
    def hows(self) -> Mapping[str, Mapping[str, Any]]:
        """How each backbone is trained, by its name."""
        return {backbone.name: self.how(backbone) for backbone in self.study.backbones}

    def how(self, backbone: Backbone) -> dict[str, Any]:
        """How a backbone is trained, without what decides nothing about a single training."""
        how = self.study.tune.model_dump(exclude=AMONG_ARMS)
        if self.study.tune.lora and isinstance(told := self.study.tune.lora.targets, dict):
            how["lora"]["targets"] = told[backbone.family]
        return how

    @cached_property
    def together(self) -> dict[str, Step]:
        """By backbone the step that trains its adapters in the same passes, where that may be faster.

        What it leaves is taken up by the cells' own steps, which come after it and are named as if it were not there.
        """
        means = self.means
        may = means.together == "always" or (means.together == "measured" and self.gpus > 0)
        if self.study.tune.lora is None or means.processes > 1 or not may:
            return {}
        tuned = [cell for cell in self.cells if cell.is_tuned_here and cell.name not in self.without]
        each = {b.name: [cell for cell in tuned if cell.backbone == b] for b in self.study.backbones}
        return {name: self.together_of(own) for name, own in each.items() if len(own) > 1}

    def together_of(self, own: list[Cell]) -> Step:
        backbone = own[0].backbone
        draws = list(dict.fromkeys(self.drawn(cell) for cell in own))
        runs = [{"cell": cell.name, "seed": cell.seed, "input": draws.index(self.drawn(cell))} for cell in own]
        return Step(
            "together",
            backbone.name,
            stages.together_step,
            VERSIONS["together"],
            {"runs": runs, "how": self.hows[backbone.name], "prompt": self.prompt},
            tuple(draws),
            after=(self.lengths[backbone.name],),
            identity={"backbone": self.inputs.identities[backbone.name]},
            given={
                "backbone": self.inputs.loadable(backbone),
                "means": self.told_means,
                "steps": {cell.name: self.tune(cell, alone=True).folder for cell in own},
            },
            where=self.where(backbone),
            weight=self.expected[backbone.name].tune * len(own),
            secrets=loading(backbone),
            smaller=stages.smaller_together,
            too_large=TOO_LARGE["tune"],
        )

    def tune(self, cell: Cell, *, alone: bool = False) -> Step:
        backbone = cell.backbone
        before = [] if alone or backbone.name not in self.together else [self.together[backbone.name]]
        return Step(
            "tune",
            cell.name,
            stages.tune_step,
            VERSIONS["tune"],
            {"cell": cell.name, "seed": cell.seed, "how": self.hows[backbone.name], "prompt": self.prompt},
            (self.drawn(cell),),
            after=(self.lengths[backbone.name], *before),
            identity={"backbone": self.inputs.identities[backbone.name]},
            given={"backbone": self.inputs.loadable(backbone), "means": self.told_means},
            perishable=stages.CHECKPOINT,
            kept=self.study.keep_checkpoints,
            where=self.where(backbone, self.means.processes),
            weight=self.expected[backbone.name].tune,
            secrets=(*loading(backbone), *needed_for(TRACKERS, self.means.report_to)),
            has_scratch=True,
            smaller=stages.smaller_training,
            too_large=TOO_LARGE["tune"],
        )

    def loss(self, cell: Cell, held_out: Step, tune: Step | None) -> Step:
        return Step(
            "loss",
            cell.name,
            stages.loss_step,
            VERSIONS["loss"],
            {"cell": cell.name, "max_length": self.study.tune.max_length, "prompt": self.prompt},
            (held_out, *([tune] if tune else [])),
            identity=self.untuned_identity(cell, tune),
            given=self.loaded_from(cell),
            consumes=(tune,) if tune else (),
            where=self.where(cell.backbone),
            weight=self.expected[cell.backbone.name].loss,
            secrets=loading(cell.backbone),
            too_large=TOO_LARGE["loss"],
        )

    def untuned_identity(self, cell: Cell, tune: Step | None) -> dict[str, object]:
        """What a cell's model is beyond the training that made it here."""
        return {
            **({} if tune else {"backbone": self.inputs.identities[cell.backbone.name]}),
            **({"checkpoint": self.inputs.checkpoints[cell.checkpoint]} if cell.checkpoint else {}),
        }

    def loaded_from(self, cell: Cell) -> dict[str, object]:
        return {
            "backbone": self.inputs.loadable(cell.backbone),
            **({"checkpoint": self.inputs.local(cell.checkpoint)} if cell.checkpoint else {}),
        }

    def generate(self, cell: Cell, task: TaskUse, tune: Step | None) -> Step:
        return Step(
            "generate",
            f"{cell.name}-{task.name}",
            stages.generate_step,
            VERSIONS["generate"],
            {
                "cell": cell.name,
                "task": task.name,
                "max_new_tokens": task.limit,
                "how": self.asking,
                "prompt": self.prompt,
            },
            (self.items[task.name], *([tune] if tune else [])),
            identity={"asked": self.words[task.name], **self.untuned_identity(cell, tune)},
            given={"words": self.words[task.name], **self.loaded_from(cell)},
            consumes=(tune,) if tune else (),
            where=self.where(cell.backbone),
            weight=self.expected[cell.backbone.name].tasks[task.name],
            secrets=loading(cell.backbone),
            has_scratch=True,  # and nothing smaller: how replies are batched decides them in the last digit
            too_large=TOO_LARGE["generate"],
        )

    @cached_property
    def asking(self) -> Mapping[str, Any]:
        """How questions are asked, with the engine that this machine has for `auto`."""
        how = self.study.generate
        return {**how.model_dump(), "engine": resolved(how.engine, gpus=self.gpus)}

    def interpolate(self, cell: Cell, between: tuple[Cell, Cell]) -> Step:
        """The adapter of a cell between two tuned ones; made in a moment, and freed once its replies are there."""
        share = cell.arm.share if cell.arm else None
        tuned = tuple(self.tune(end) for end in between)
        return Step(
            "interpolate",
            cell.name,
            stages.interpolate_step,
            VERSIONS["interpolate"],
            {"share": share},
            tuned,
            consumes=tuned,
            perishable=stages.CHECKPOINT,
        )

    def score(self, cell: Cell, generate: list[Step]) -> Step:
        needs = [*generate, *self.items.values()]
        if cell.is_tuned_here:
            needs.append(self.drawn(cell))
        own = [values_of(self.tasks[use.name]) for use in self.study.tasks if use.origin == "own"]
        settings = {"cell": cell.columns, "dose": cell.is_tuned_here, **({"own": own} if own else {})}
        return Step("score", cell.name, stages.score_step, VERSIONS["score"], settings, tuple(needs))

    def analyse(self, scored: list[Step]) -> Step:
        analyse = self.study.analyse
        settings = {
            "primary": [analyse.primary.arm, analyse.primary.against],
            "reading": analyse.reading,
            "confidence": analyse.confidence,
            "margin": analyse.margin,
            "consistency": [analyse.consistency.consistent, analyse.consistency.opposite],
            "model_check": analyse.model_check,
            "partial": bool(self.without),
        }
        audit = self.study.label.audit
        return Step(
            "analyse",
            self.study.name,
            stages.analyse_step,
            VERSIONS["analyse"],
            settings,
            (*scored, self.label) if audit else tuple(scored),
            identity={"audit": self.inputs.digest(audit) if audit else None},
            given={"audit": self.inputs.local(audit) if audit else None},
            weight=5,
        )

    def report(self, analyse: Step, shown: list[Step]) -> Step:
        told = self.whole.model_dump(mode="json", exclude={"keep_checkpoints"})
        settings = {"study": told, "missing": sorted(self.without)}
        needs = (analyse, self.balance, self.pool, self.leaks, *self.lengths.values(), *self.items.values(), *shown)
        lost = {"lost": self.lost}
        return Step(
            "report",
            self.study.name,
            stages.report_step,
            VERSIONS["report"],
            settings,
            needs,
            identity=lost if self.lost else {},
            given=lost,
            weight=3,
        )

    @property
    def lost(self) -> list[dict[str, object]]:
        """The cells that failed, as the scores would call them, each with its failures."""
        gone = [cell for cell in cells(self.study) if cell.name in self.without]
        return [{**cell.columns, "failures": list(self.why.get(cell.name, ()))} for cell in gone]

    @cached_property
    def inputs(self) -> Inputs:
        """What the study rests on outside its file."""
        return Inputs(self.study, self.base)

    @cached_property
    def missing(self) -> tuple[list[str], list[str]]:
        """What keeps this study from running here, as sentences: files, and backbones."""
        return self.inputs.missing({task.name: self.items_path(task) for task in self.study.tasks})

    @cached_property
    def told_means(self) -> Mapping[str, Any]:
        return asdict(self.means)

    def where(self, backbone: Backbone, processes: int = 1) -> Where:
        """What a step of a backbone occupies: where two of a small one share a GPU, each fills the other's gaps."""
        is_small, memory = backbone.scale < SMALL, main_memory(self.study, backbone, gpu=self.gpus > 0)
        if self.gpus:
            gpus = HALF if is_small and processes == 1 and self.shares_gpus else processes
            return Where(processes, gpus, backbone.name, memory)
        return Where(processes if is_small else self.cores, worker=backbone.name, memory=memory)

    @cached_property
    def shares_gpus(self) -> bool:
        """Whether another step may use the same GPU: vLLM takes most of its memory at once."""
        return resolved(self.study.generate.engine, gpus=self.gpus) != VLLM


def shortcut(planner: Planner, shares: Iterable[float]) -> list[Step]:
    """The steps that ask what is interpolated between the adapters of 0 % and 100 % at `shares`, with all they need.

    Raises StudyError for a study without such adapters.
    """
    told: dict[str, Step] = {}
    for zero, one in ends(planner.study):
        for share in shares:
            cell = Cell(zero.backbone, Between(share), zero.draw, zero.seed)
            made = planner.interpolate(cell, (zero, one))
            asked = [planner.generate(cell, task, made) for task in planner.uses]
            add_with_needs(told, planner.score(cell, asked))
    return list(told.values())


def add_with_needs(told: dict[str, Step], step: Step) -> None:
    """Add a step by its key after all that it waits for, each once."""
    if step.key not in told:
        for need in step.waits_for:
            add_with_needs(told, need)
        told[step.key] = step


def needed_for(purpose: str, wanted: object) -> tuple[str, ...]:
    """What a step needs secrets of the environment for, where it does."""
    return (purpose,) if wanted else ()


def loading(backbone: Backbone) -> tuple[str, ...]:
    """What loading a backbone needs secrets for: the hub's where it has a revision there."""
    return needed_for(HUB, backbone.revision)


def labeller(by: str) -> str | None:
    """What a labeller is beyond the code: the digest of the model's weights, the version of the llm's prompt."""
    return {"model": digest, "llm": prompt_version}[by]() if by in ("model", "llm") else None


def checked(task: Task, use: TaskUse) -> Task:
    """A task of one's own that the study can ask. What keeps it from being asked is told before anything runs."""
    place = use.path or "Planner(own=...)"
    if task.name != use.name:
        raise StudyError(f"{place}: its name is {task.name!r}, but the study calls it {use.name!r}; make them the same")
    refuse_unfit(task, place)
    if use.max_new_tokens is None and task.max_new_tokens is None:
        raise StudyError(f"{place}: the task {task.name!r} has no max_new_tokens; say it there or in the study")
    if task.items and task.items.is_file():
        items = own_items(task.items, task=task.name, domain=task.domain, count=None, seed_name="")
        refuse_unreadable(task, items, count=use.count)
    return task


def settled(planner: Planner, store: Store) -> Planner:
    """The plan with the excluded examples of the leak search, where the store holds its result."""
    if not planner.is_pending or not store.is_done(planner.leaks):
        return planner
    found = tables.read(store.here(planner.leaks.folder) / f"{tables.EXCLUDED.name}.parquet", tables.EXCLUDED)
    return replace(planner, excluded=tuple(found["example_id"].sort()))


def failed_cells(failed: Iterable[Step], kinds: Collection[str] = ("tune", "generate", "score")) -> frozenset[str]:
    """The cells that lack something because these steps, of these kinds, failed or never started."""
    named = (step.settings["cell"] for step in failed if step.kind in kinds)
    return frozenset(str(cell["cell"] if isinstance(cell, Mapping) else cell) for cell in named)
