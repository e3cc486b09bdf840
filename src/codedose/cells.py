"""Study -> its cells: one backbone, tuned on one draw of one arm with one seed, or untuned."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

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
class Cell:
    """One backbone, tuned on one draw of one arm with one seed; or untuned (arm, draw and seed are None).

    `checkpoint` is the folder of one that was trained elsewhere.
    """

    backbone: Backbone
    arm: Arm | Foreign | None = None
    draw: int | None = None
    seed: int | None = None
    checkpoint: str | None = None

    @property
    def is_tuned_here(self) -> bool:
        return self.arm is not None and self.checkpoint is None

    @property
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
