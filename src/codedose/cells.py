"""Study -> its cells: one backbone, tuned on one draw of one arm with one seed, or untuned."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from codedose.errors import StudyError
from codedose.study import Arm, Backbone, Study
from codedose.tables import UNTUNED

ELSEWHERE = "/elsewhere"  # ends the name of a cell that was trained elsewhere


@dataclass(frozen=True)
class Foreign:
    """An arm that exists only in checkpoints trained elsewhere, with the share that is stated for it."""

    name: str
    share: float | None
    control: None = None


@dataclass(frozen=True)
class Between:
    """An arm that nothing was trained on: its adapters are interpolated between those of the shares 0 and 1."""

    share: float
    control: None = None

    @property
    def name(self) -> str:
        return f"interpolated {100 * self.share:g} %"


@dataclass(frozen=True)
class Cell:
    """One backbone, tuned on one draw of one arm with one seed; or untuned (arm, draw and seed are None).

    `checkpoint` is the folder of one that was trained elsewhere.
    """

    backbone: Backbone
    arm: Arm | Foreign | Between | None = None
    draw: int | None = None
    seed: int | None = None
    checkpoint: str | None = None

    @property
    def is_tuned_here(self) -> bool:
        return self.arm is not None and self.checkpoint is None and not isinstance(self.arm, Between)

    @cached_property
    def name(self) -> str:
        if self.arm is None:
            return f"{self.backbone.name}/{UNTUNED}"
        return f"{self.backbone.name}/{self.arm.name}/d{self.draw}/s{self.seed}" + (
            ELSEWHERE if self.checkpoint else ""
        )

    @property
    def columns(self) -> dict[str, object]:
        """What the scores say of a cell."""
        return {
            "cell": self.name,
            "backbone": self.backbone.name,
            "family": self.backbone.family,
            "scale": self.backbone.scale,
            "arm": self.arm.name if self.arm else UNTUNED,
            "share": self.arm.share if self.arm and self.arm.control is None else None,
            "draw": self.draw,
            "seed": self.seed,
        }


def cells(study: Study) -> Iterator[Cell]:
    """Every cell of a study: for each backbone the untuned one, then draw by draw all arms and seeds."""
    folders = {each.place: each.checkpoint for each in study.joined or ()}
    for backbone in study.backbones:
        if study.untuned:
            yield Cell(backbone)
        for draw, arm, seed in product(range(study.mix.draws), arms_of(study), range(study.tune.seeds)):
            yield Cell(backbone, arm, draw, seed, folders.get((backbone.name, arm.name, draw, seed)))


def arms_of(study: Study) -> list[Arm | Foreign]:
    """The arms of a study, those last that exist only in checkpoints trained elsewhere."""
    return [*study.mix.arms, *(Foreign(name, share) for name, share in study.foreign.items())]


def ends(study: Study) -> list[tuple[Cell, Cell]]:
    """The tuned cells with no code and with nothing else, side by side: of each backbone, draw and seed.

    Raises StudyError for a study that has no adapters to interpolate between.
    """
    if study.tune.method != "lora":
        raise StudyError("the shortcut interpolates LoRA adapters, and tune.method is full; tune with method: lora")
    found = [next((arm for arm in study.mix.arms if arm.share == share and not arm.control), None) for share in (0, 1)]
    if None in found:
        missing = " and ".join(f"{share} %" for share, arm in zip((0, 100), found, strict=True) if arm is None)
        raise StudyError(f"mix.arms: the shortcut needs the shares 0 and 1, and {missing} is missing; add it")
    tuned = {(cell.backbone.name, cell.arm, cell.draw, cell.seed): cell for cell in cells(study)}
    runs = product(study.backbones, range(study.mix.draws), range(study.tune.seeds))
    pairs = [[tuned[backbone.name, arm, draw, seed] for arm in found] for backbone, draw, seed in runs]
    for cell in (cell for pair in pairs for cell in pair if cell.checkpoint):
        raise StudyError(
            f"the shortcut interpolates what was tuned here, and {cell.name} was trained elsewhere; "
            "codedose interpolate takes two folders"
        )
    return [(zero, one) for zero, one in pairs]
