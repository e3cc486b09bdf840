"""Step: one unit of work, and the key that names it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

from codedose.keys import fingerprint, slug

Progress = Callable[[int, int, str], None]  # (done, of, note)
HALF = 0.5  # of a GPU: what a small model takes


@dataclass(frozen=True, eq=False)
class Step:
    """One unit of work: `do(inputs, out, progress=..., **settings, **given)` fills the folder `out`.

    `settings` decide the result and are part of the key; `identity` (digests of files, pinned
    revisions) is part of the key only; `given` (paths) is handed to `do` only. `after`, `where`, `weight`
    and `smaller` decide when, where and how a step runs, never what it writes.
    """

    kind: str
    label: str
    do: Callable[..., None]
    version: int  # bumped when `do` changes what it writes
    settings: Mapping[str, object] = field(default_factory=dict)
    needs: tuple["Step", ...] = ()
    after: tuple["Step", ...] = ()  # those that must have gone well before, though nothing of theirs is read
    identity: Mapping[str, object] = field(default_factory=dict)
    given: Mapping[str, object] = field(default_factory=dict)
    perishable: str | None = None  # a subfolder that only `consumes` reads, freed once nothing waits for it
    kept: bool = False  # that subfolder is never freed
    consumes: tuple["Step", ...] = ()  # those of `needs` whose perishable part is read
    where: "Where" = field(default_factory=lambda: Where())
    weight: float = 0.1  # expected seconds, for the time left
    secrets: tuple[
        str, ...
    ] = ()  # what it needs secrets of the environment for (runner.secrets): never part of the key
    has_scratch: bool = False  # `do` is also given a folder `scratch` that outlives it until the step is done
    shares: str | None = None  # `do` is also given a folder `shared` of this name, to which many steps add
    # What is given where memory did not suffice with this; None where nothing is smaller. A function of a module.
    smaller: Callable[[Mapping[str, object]], Mapping[str, object] | None] | None = None
    too_large: str = ""  # what a person can do where memory does not suffice

    @cached_property
    def key(self) -> str:
        needed = [step.key for step in self.needs]
        return fingerprint(self.kind, self.version, self.settings, self.identity, needed)

    @cached_property
    def waits_for(self) -> tuple["Step", ...]:
        """The steps without which this one does not start."""
        return (*self.needs, *self.after)

    @cached_property
    def folder(self) -> str:
        """Where a store keeps it: readable, safe as a path, and unique through its key."""
        return f"{self.name}-{self.key}"

    @property
    def name(self) -> str:
        """Its folder without its key: what versions of one step have in common."""
        return f"{self.kind}/{slug(self.label)}"

    def __getstate__(self) -> dict[str, object]:
        """What travels to a worker: of the steps it needs only what names them, not what they themselves rest on.

        Else each step would carry its whole past along, and the report all of a plan.
        """
        names = {id(need): named(need) for need in self.needs}
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        linked = {
            "needs": tuple(names[id(need)] for need in self.needs),
            "consumes": tuple(names[id(need)] for need in self.consumes),
        }
        return {**own, **linked, "after": (), "key": self.key}


def named(step: Step) -> Step:
    """A step that has the name and the key of another, and nothing to do."""
    bare = replace(step, do=nothing, settings={}, needs=(), after=(), identity={}, given={}, consumes=())
    vars(bare)["key"] = step.key
    return bare


def nothing(inputs: object, out: object, *, progress: Progress) -> None:
    """What a step does that is only named."""


@dataclass(frozen=True)
class Where:
    """What a step occupies while it runs. Steps with the same `worker` like the same process.

    A step takes whole GPUs for itself, or half of one that it shares with another such step.
    """

    cores: int = 1
    gpus: float = 0
    worker: str = ""
    memory: int = 0  # bytes of main memory; 0: nobody knows

    def __post_init__(self) -> None:
        if self.gpus < 0 or (self.gpus != HALF and self.gpus % 1):
            raise ValueError(f"{self.gpus} GPUs: a step takes none, half a GPU, or whole ones")
