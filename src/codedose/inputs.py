"""What a study rests on outside its file: files, datasets and models. Where they lie, what they hold, what is missing.

A plan is possible where something is missing: its identity then says so, and `missing` says it in words.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from codedose.backbone import BUILTIN, cached_digest, identity
from codedose.backbone import missing as missing_backbone
from codedose.errors import DataError, MachineError
from codedose.joined import missing as missing_checkpoint
from codedose.keys import fingerprint
from codedose.pool.catalogue import look_up
from codedose.pool.starter import NAME as STARTER
from codedose.study import Backbone, Source, Study
from codedose.tasks.sources import is_on_hub, located


@dataclass(frozen=True)
class Inputs:
    """What a study names, with its relative paths starting at `base`."""

    study: Study
    base: Path

    def local(self, path: str) -> str:
        return path if path == STARTER else str((self.base / path).resolve())

    def digest(self, path: str | Path) -> str:
        """What a file holds, or that it is missing: a plan is possible all the same."""
        found = self.base / path
        return cached_digest(found) if found.is_file() else f"missing: {path}"

    def source_digest(self, source: Source) -> str:
        """What a source of the pool holds: of a hub dataset its pinned revision, else the content of its files."""
        if source.revision is not None:  # known without fetching it; an entry of dataset_info.json says how to read it
            return fingerprint(source.revision, self.digest(source.path.partition("#")[0]))
        try:
            found = look_up(source, folder=self.base)
        except DataError:
            return f"missing: {source.path}"
        layout = asdict(found.layout) if found.layout else None
        return fingerprint([(name, cached_digest(path)) for name, path in found.files], layout)

    def items_digest(self, path: str) -> str:
        """What official items hold: of a hub dataset its name and commit, of a folder its files, else the content."""
        if self.is_hub_dataset(path):
            return fingerprint("hub", path)
        if not (self.base / path).is_dir():
            return self.digest(path)
        try:
            return fingerprint([(file.name, cached_digest(file)) for file in located(str(self.base / path))])
        except DataError:
            return f"missing: {path}"

    def items_place(self, path: str) -> str:
        return path if self.is_hub_dataset(path) else self.local(path)

    def is_hub_dataset(self, path: str) -> bool:
        return is_on_hub(path) and not (self.base / path).exists()

    def loadable(self, backbone: Backbone) -> Mapping[str, Any]:
        """A backbone as `backbone.resolve` takes it, with its local path made whole."""
        return self.loadables[backbone.name]

    @cached_property
    def loadables(self) -> Mapping[str, Mapping[str, Any]]:
        return {backbone.name: self.found(backbone) for backbone in self.study.backbones}

    def found(self, backbone: Backbone) -> dict[str, Any]:
        near = self.base / backbone.model
        local = backbone.model != BUILTIN and near.exists()
        code = {"remote_code": True} if backbone.remote_code else {}
        return {"model": str(near.resolve()) if local else backbone.model, "revision": backbone.revision, **code}

    @cached_property
    def identities(self) -> Mapping[str, object]:
        return {backbone.name: self.identity(backbone) for backbone in self.study.backbones}

    @cached_property
    def checkpoints(self) -> Mapping[str, object]:
        """What the checkpoints trained elsewhere hold, by their folders as the study names them."""
        folders = [each.checkpoint for each in self.study.joined or ()]
        there = {folder: Path(self.local(folder)) for folder in folders}
        return {
            folder: identity(str(path), None) if path.is_dir() else {"missing": folder}
            for folder, path in there.items()
        }

    def identity(self, backbone: Backbone) -> object:
        try:
            return identity(**self.loadable(backbone))
        except MachineError:  # told by `missing`; a plan is possible all the same
            return {"missing": backbone.model}

    def missing(self, items: Mapping[str, str | None]) -> tuple[list[str], list[str]]:
        """What keeps this study from running here, as sentences: files, and backbones. `items`: their place by task."""
        local = [source.path for source in self.study.pool.sources if source.revision is None]
        named = [("pool.sources", path.partition("#")[0]) for path in local if path != STARTER]
        named += [("label.audit", self.study.label.audit)] if self.study.label.audit else []
        own = [(f"the items of {task}", path) for task, path in items.items()]
        named += [(what, path) for what, path in own if path and not self.is_hub_dataset(path)]
        files = [
            f"{what}: there is no file {self.local(path)}" for what, path in named if not (self.base / path).exists()
        ]
        bases = {backbone.name: self.loadable(backbone) for backbone in self.study.backbones}
        joined = (missing_checkpoint(self.local(j.checkpoint), bases[j.backbone]) for j in self.study.joined or ())
        files += [f"joined: {sentence}" for sentence in joined if sentence]
        lacking = (missing_backbone(**self.loadable(backbone)) for backbone in self.study.backbones)
        return files, [sentence for sentence in lacking if sentence]
