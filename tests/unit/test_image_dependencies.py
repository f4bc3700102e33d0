"""What the images of the control plane install is all that their programs load: the rest is withheld here."""

import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

import pytest
from build_images import AGENT, ROOT, requirements
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

THE_AGENT = ["jupyter_mlplat.agent.__main__"]
CONTROL_PLANE = [
    "jupyter_mlplat.app",
    "jupyter_mlplat.backends.kubernetes.images",
    "jupyter_mlplat.backends.kubernetes.instances",
    "jupyter_mlplat.backends.kubernetes.jobs",
    "jupyter_mlplat.backends.kubernetes.ssh",
    "jupyter_mlplat.cli.main",
    "jupyter_mlplat.db.prepare",
    "jupyter_mlplat.gateway.keeper",
    "jupyter_mlplat.gateway.tunnel",
    "jupyter_mlplat.hub.kube_config",
    "jupyter_mlplat.hub.kube_spawner",
    "jupyter_mlplat.storage.engine.s3",
    "jupyter_mlplat.storage.engine.sts",
    "jupyterhub.app",
    "asyncpg",
    "psycopg2",
]
LOAD = """
import importlib, sys
class Withheld:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split():
            raise ModuleNotFoundError(f"No module named {name!r}, which the image lacks", name=name)
sys.meta_path.insert(0, Withheld())
for name in sys.argv[2:]:
    importlib.import_module(name)
"""


def with_all_below(wanted: Iterable[Requirement]) -> set[str]:
    """The names of the distributions that come with these."""
    found: set[str] = set()
    left = [(canonicalize_name(one.name), one.extras) for one in wanted]
    while left:
        name, extras = left.pop()
        found.add(name)
        try:
            below = [Requirement(line) for line in requires(name) or ()]
        except PackageNotFoundError:
            continue
        met = [one for one in below if needed(one, extras)]
        left += [(canonicalize_name(one.name), one.extras) for one in met if canonicalize_name(one.name) not in found]
    return found


def needed(requirement: Requirement, extras: Iterable[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def withheld(lines: str) -> str:
    """The modules of this environment that an image with these requirements lacks."""
    wanted = [Requirement(line) for line in lines.splitlines() if re.match(r"\w", line)]
    there = with_all_below(wanted) | {"jupyter-mlplat"}
    owners = {module: {canonicalize_name(one) for one in names} for module, names in packages_distributions().items()}
    return " ".join(module for module, names in owners.items() if not names & there)


@pytest.mark.parametrize(("image", "programs"), [(AGENT, THE_AGENT), ("platform", CONTROL_PLANE)])
def test_what_an_image_installs_is_enough_for_its_programs(image: str, programs: list[str]) -> None:
    file = ROOT / "images" / image / "requirements.txt"
    lines = file.read_text() if file.exists() else requirements(image)
    command = [sys.executable, "-c", LOAD, withheld(lines), *programs]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_check_notices_what_is_missing() -> None:
    command = [sys.executable, "-c", LOAD, withheld("httpx"), *THE_AGENT]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "which the image lacks" in done.stderr
