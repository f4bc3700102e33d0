"""Turns an environment into an image of the store: its layer, its config, its manifest."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from jupyter_mlplat.backends.local.moving import PREFIX
from jupyter_mlplat.backends.local.packages import Package
from jupyter_mlplat.backends.local.plan import Plan, look_again, make_plan, packages
from jupyter_mlplat.backends.local.snapshot import LEADS_OUT, members, take
from jupyter_mlplat.backends.local.trees import Trees
from jupyter_mlplat.environments import interpreter
from jupyter_mlplat.errors import BackendFailure, Conflict
from jupyter_mlplat.oci.disk import no_space_in_words
from jupyter_mlplat.oci.layer import SourceChanged, write_layer
from jupyter_mlplat.oci.layout import Ingest, Layout
from jupyter_mlplat.oci.left_out import readable
from jupyter_mlplat.oci.manifest import CONFIG, LAYER, MANIFEST, Descriptor, ImageConfig, Manifest

PACKAGES_LABEL = "mlplat.packages"
_OCI = "org.opencontainers.image."
_ATTEMPTS = 4
_QUIET_SECONDS = 0.5
_PATIENCE = 120
"""How many times `_QUIET_SECONDS` a save waits for an environment that is being changed."""


@dataclass
class Meter:
    """How far the writing is, in bytes of file content; `told` hears of each move."""

    message: str = ""
    told: Callable[["Meter"], None] = lambda _: None
    done: int = 0
    total: int = 0

    def tell(self) -> None:
        self.told(self)

    def add(self, count: int) -> None:
        self.done += count
        self.told(self)

    def begin(self, message: str, total: int = 0) -> None:
        self.message, self.done, self.total = message, 0, total
        self.told(self)


@dataclass(frozen=True)
class Recipe:
    """An image to be: what `environment` has beyond the image `parent` (None: everything), listed as `ref`.

    `exclude` are paths in the image whose changes stay out.
    """

    environment: Path
    parent: str | None
    ref: str
    name: str
    tag: str
    description: str
    author: str
    created: datetime
    labels: dict[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def parse(cls, text: str) -> "Recipe":
        facts = json.loads(text)
        moved = {"environment": Path(facts["environment"]), "created": datetime.fromisoformat(facts["created"])}
        moved["exclude"] = tuple(facts["exclude"])
        return cls(**facts | moved)


@dataclass(frozen=True)
class Written:
    """An image, written and not yet listed; sizes in compressed bytes.

    Without changes `digest` is the parent's and `added` 0.
    """

    descriptor: Descriptor
    size: int
    added: int
    packages: tuple[Package, ...]

    @property
    def digest(self) -> str:
        return self.descriptor.digest

    def document(self) -> dict[str, Any]:
        return {**vars(self), "descriptor": self.descriptor.document()}

    @classmethod
    def from_document(cls, facts: dict[str, Any]) -> "Written":
        packages = tuple((name, version) for name, version in facts["packages"])
        return cls(Descriptor.parse(facts["descriptor"]), facts["size"], facts["added"], packages)


@dataclass(frozen=True)
class _Layer:
    descriptor: Descriptor
    diff_id: str


class ImageWriter:
    """Blocking; tells a `Meter` how far it is."""

    def __init__(self, layout: Layout, trees: Trees, ingest: Ingest) -> None:
        self._layout = layout
        self._trees = trees
        self._ingest = ingest

    def write(self, recipe: Recipe, meter: Meter) -> Written:
        """Write the image, which is there once the ingest commits it.

        NoSpace, Conflict (the environment does not hold still).
        """
        if recipe.parent is not None:
            self._trees.prepare(recipe.parent)
        with in_words(recipe.environment):
            layer, plan = self._still_layer(recipe, meter)
            found = packages(self._trees, recipe, plan)
            manifest = self._manifest(recipe, layer, found)
            descriptor = self._describe(recipe, layer, manifest)
        return Written(descriptor, manifest.size, layer.descriptor.size if layer else 0, found)

    def _still_layer(self, recipe: Recipe, meter: Meter) -> tuple[_Layer | None, Plan]:
        """The layer of an environment that was the same before and after, however long a pip in it takes; its plan."""
        for _ in range(_ATTEMPTS):
            try:
                return self._layer(recipe, meter)
            except SourceChanged as change:
                _wait_until_still(recipe.environment, meter, change.path)
        raise Conflict(
            "The environment keeps changing while it is saved. Wait until what installs or writes there has finished, "
            "then save again."
        )

    def _layer(self, recipe: Recipe, meter: Meter) -> tuple[_Layer | None, Plan]:
        plan = make_plan(self._trees, recipe)
        meter.begin(_left_out(plan) or "Writing changed files", plan.changes.size)
        if not plan.changes:
            return None, plan
        with self._ingest.file() as file:
            written = write_layer(members(recipe.environment, plan.changes), file, written=meter.add)
        if not look_again(recipe, plan):
            raise SourceChanged(".")
        descriptor = Descriptor(LAYER, written.digest, written.size)
        return _Layer(self._ingest.add_file(Path(file.name), descriptor), written.diff_id), plan

    def _manifest(self, recipe: Recipe, layer: _Layer | None, packages: tuple[Package, ...]) -> Manifest:
        parent = self._layout.manifest(recipe.parent) if recipe.parent else None
        if layer is None and parent is not None:
            return parent
        old = self._layout.config(parent) if parent else None
        added = (layer,) if layer else ()
        config = ImageConfig(
            architecture=interpreter.architecture(),
            os=interpreter.OS,
            created=recipe.created,
            author=recipe.author,
            diff_ids=(old.diff_ids if old else ()) + tuple(each.diff_id for each in added),
            history=(old.history if old else ()) + tuple(f"{recipe.name}:{recipe.tag}" for _ in added),
            labels=_labels(recipe, packages),
            environment=(f"PATH=/{PREFIX}/bin:/usr/local/bin:/usr/bin:/bin", f"VIRTUAL_ENV=/{PREFIX}"),
        )
        layers = (parent.layers if parent else ()) + tuple(each.descriptor for each in added)
        return Manifest(self._ingest.add_document(CONFIG, config.document()), layers)

    def _describe(self, recipe: Recipe, layer: _Layer | None, manifest: Manifest) -> Descriptor:
        if layer is None and recipe.parent is not None:
            size = self._layout.blob(recipe.parent).stat().st_size
            return Descriptor(MANIFEST, recipe.parent, size)
        return self._ingest.add_document(MANIFEST, manifest.document())


def _labels(recipe: Recipe, packages: tuple[Package, ...]) -> dict[str, str]:
    """Where the image comes from and what is in it."""
    labels = {
        f"{_OCI}title": recipe.name,
        f"{_OCI}version": recipe.tag,
        f"{_OCI}description": recipe.description,
        f"{_OCI}authors": recipe.author,
        f"{_OCI}created": recipe.created.isoformat(),
        interpreter.PYTHON_LABEL: interpreter.PYTHON,
        PACKAGES_LABEL: json.dumps(packages),
    }
    if recipe.parent is not None:
        labels[f"{_OCI}base.digest"] = recipe.parent
    return labels | recipe.labels


def _wait_until_still(environment: Path, meter: Meter, path: str) -> None:
    """Return once two looks at the environment agree, or when patience ends."""
    meter.begin(f"Waiting until the environment holds still ({path} has changed)")
    before = take(environment)
    for _ in range(_PATIENCE):
        time.sleep(_QUIET_SECONDS)
        now = take(environment)
        if now.same_as(before):
            return
        before = now


def _left_out(plan: Plan) -> str:
    """What is said of links that an image cannot hold."""
    links = sorted(readable(each.path) for each, _ in plan.left_out if each.reason == LEADS_OUT)
    if not links:
        return ""
    more = f" and {len(links) - 3} more" if len(links) > 3 else ""
    return f"Left out, because they lead outside the environment: {', '.join(links[:3])}{more}"


@contextmanager
def in_words(environment: Path) -> Iterator[None]:
    try:
        with no_space_in_words("the image could not be saved"):
            yield
    except FileNotFoundError as error:
        if environment.exists():
            raise
        raise Conflict("The instance has no environment. Start it, then save again.") from error
    except PermissionError as error:
        raise BackendFailure(f"{error.filename} cannot be read. Change its permissions, then save again.") from error
