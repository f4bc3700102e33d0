"""Small images and instances for the tests of the local back end: real files, no installing."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from jupyter_mlplat.backends.base import Checkpoint, InstanceSpec
from jupyter_mlplat.backends.imaging import SavedImage, SaveSpec
from jupyter_mlplat.backends.local import presets
from jupyter_mlplat.backends.local.environments import Environments
from jupyter_mlplat.backends.local.images import LocalImages
from jupyter_mlplat.backends.local.saving import ImageWriter, Meter, Recipe
from jupyter_mlplat.environments import interpreter
from jupyter_mlplat.flavors.models import Flavor
from jupyter_mlplat.oci.layout import Layout

SITE = f"lib/python{interpreter.PYTHON}/site-packages"
SMALL = Flavor(id="small", name="small", vcpus=1, memory_mib=1024)


def fill(environment: Path, packages: dict[str, str], *, library: bytes = b"\x7fELF library") -> None:
    """Put packages (name: version) into an environment, each with a module and a library."""
    for name, version in packages.items():
        package, facts = environment / SITE / name, environment / SITE / f"{name}-{version}.dist-info"
        package.mkdir(parents=True)
        facts.mkdir()
        (package / "__init__.py").write_text(f"VERSION = {version!r}\n")
        (package / "fast.so").write_bytes(library)
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: body\n")


def catalog_of(folder: Path, *requirements: str) -> tuple[presets.Preset, ...]:
    """A catalogue of one preset with these requirements, written to `folder`."""
    (folder / "tiny").mkdir(parents=True)
    (folder / "tiny" / "requirements.txt").write_text("\n".join(requirements))
    entry = 'name = "tiny"\ntag = "1-cpu-py_{python}-{os}-{arch}"\ndescription = "For tests"\ncategories = ["CPU"]\n'
    (folder / "catalog.toml").write_text(f"[[preset]]\n{entry}")
    return presets.load(folder)


def make_image(
    environments: Environments,
    folder: Path,
    packages: dict[str, str],
    ref: str = "base:1",
    files: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """An image of an environment with these packages and files; `folder` is where it is built. Its digest."""
    environment = folder / "built"
    environment.mkdir(parents=True)
    interpreter.tie(environment)
    fill(environment, packages)
    for path, text in files.items():
        (environment / path).write_text(text)
    when = datetime(2026, 1, 1, tzinfo=UTC)
    recipe = Recipe(environment, None, ref, *ref.split(":"), description="", author="test", created=when)
    with environments.layout.ingest() as ingest:
        written = ImageWriter(environments.layout, environments.trees, ingest).write(recipe, Meter())
        ingest.commit(written.descriptor, ref)
    return written.digest


def spec_of(digest: str, instance_id: str = "i-1") -> InstanceSpec:
    return InstanceSpec(
        instance_id=instance_id,
        owner="alice",
        name="notebook",
        image_digest=digest,
        image_id="im-0",
        image_name="base:1",
        flavor=SMALL,
    )


def save_spec(
    digest: str, instance_id: str = "i-1", name: str = "mine", tag: str = "1", exclude: tuple[str, ...] = ()
) -> SaveSpec:
    return SaveSpec("im-1", spec_of(digest, instance_id), name, tag, "with more in it", "alice", exclude)


async def save(images: LocalImages, spec: SaveSpec) -> tuple[SavedImage, list[Checkpoint]]:
    """Save to the end: the image, and the progress on the way."""
    steps = [step async for step in images.save(spec)]
    assert isinstance(steps[-1], SavedImage)
    return steps[-1], [step for step in steps if isinstance(step, Checkpoint)]


def contents(environment: Path) -> dict[str, tuple[object, ...]]:
    """What a user sees of an environment, but for compiled files."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(environment.rglob("*")):
        name = str(path.relative_to(environment))
        if "__pycache__" in name or name == ".mlplat.json":
            continue
        state = path.lstat()
        if path.is_symlink():
            found[name] = (str(path.readlink()),)
        else:
            found[name] = (
                (state.st_mode, int(state.st_mtime), path.read_bytes()) if path.is_file() else (state.st_mode,)
            )
    return found


class Place:
    """A data folder with instances that are made from images."""

    def __init__(self, folder: Path, catalog: tuple[presets.Preset, ...] = ()) -> None:
        self.data = folder / "data"
        self.environments = Environments(self.data, background=False)
        self.images = LocalImages(self.data, self.environments, catalog)
        self.layout: Layout = self.environments.layout

    async def instance(self, digest: str, instance_id: str = "i-1") -> Path:
        env = self.data / "instances" / instance_id / "env"
        await self.environments.clone(digest, env)
        return env

    def assert_nothing_under_way(self) -> None:
        assert list((self.layout.root / "ingest").iterdir()) == []
