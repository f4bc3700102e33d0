"""Each preset does its work, as an environment and as a container, and holds nothing that it should not."""

import asyncio
import os
import stat
import subprocess
from contextlib import aclosing
from operator import attrgetter
from pathlib import Path

import pytest
from containers import HERE, Container, buildah

from jupyter_mlplat.backends.local import presets
from jupyter_mlplat.backends.local.presets import Preset

KNOWN = {preset.key: preset for preset in presets.load(presets.catalog_folder())}
PRESETS = [preset for preset in KNOWN.values() if not preset.on_request]
NAMES = [*(preset.key for preset in PRESETS), *os.environ.get("MLPLAT_TEST_ON_REQUEST", "").split()]
BUDGETS = {name: KNOWN[name].budget for name in NAMES if KNOWN[name].budget}

LEFTOVERS = ("root/.cache", "home/ma-user/.cache", "tmp", "var/tmp", "var/lib/apt/lists", "var/cache/apt/archives")
CONTAINERS = pytest.mark.parametrize("container", NAMES, indirect=True)

pytestmark = pytest.mark.timeout(1200)


@pytest.mark.parametrize("preset", PRESETS, ids=attrgetter("name"))
async def test_it_works_as_an_environment_on_this_machine(preset: Preset, tmp_path: Path) -> None:
    async with aclosing(presets.build(preset, tmp_path / "env")) as lines:
        async for _ in lines:
            pass
    python, test = tmp_path / "env/bin/python", preset.requirements.with_name("test.py")
    command = [python, HERE / "in_kernel.py", test]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)


@CONTAINERS
def test_it_works_as_a_container(container: Container) -> None:
    print(container.run("python", "/tests/in_kernel.py", f"/images/{container.name}/test.py"))


@CONTAINERS
def test_its_lab_answers_with_our_extension(container: Container) -> None:
    assert container.run("/opt/mlplat/lab/bin/python", "/tests/lab_answers.py").splitlines()[-1] == "200 200"


@CONTAINERS
def test_the_vendors_tools_may_be_absent(container: Container) -> None:
    assert container.run("/opt/mlplat/lab/bin/python", "-c", READINGS) == "[] []"


@CONTAINERS
def test_what_is_installed_fits_together(container: Container) -> None:
    container.run("python", "-m", "pip", "check")


@CONTAINERS
def test_nobody_becomes_root_and_nothing_is_left_over(container: Container) -> None:
    check_files(container)


def check_files(container: Container) -> None:
    """No rights of others, nothing that anybody can change, no caches, no root."""
    root = container.root()
    risky, open_to_all = [], []
    for path in root.rglob("*"):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            risky.append(path)
        if not stat.S_ISLNK(mode) and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            open_to_all.append(path)
    assert not risky
    assert [path for path in open_to_all if root / "dev" not in path.parents] == []
    left = [path for place in LEFTOVERS for path in (root / place).rglob("*") if path.is_file()]
    assert [path for path in left if path.stat().st_size] == []
    assert container.run("id", "-un") == "ma-user"
    assert container.run("sh", "-c", "command -v sudo || echo none") == "none"


READINGS = """
from jupyter_mlplat.server_extension.accelerators import accelerator_readings as read
print(*[read({"flavor": {"accelerator": "one", "category": category}}) for category in ("GPU", "ASCEND")])
"""
SSHD = """
ls /usr/lib/*/libnss_wrapper.so >/dev/null && ssh-keygen -q -t ed25519 -N '' -f /tmp/host_key &&
/usr/sbin/sshd -i -f none -o HostKey=/tmp/host_key -o UsePAM=no -o PidFile=none </dev/null
"""


@CONTAINERS
def test_an_sshd_answers_and_has_nobodys_keys(container: Container) -> None:
    check_sshd(container)


def check_sshd(container: Container) -> None:
    assert list((container.root() / "etc" / "ssh").glob("ssh_host_*")) == []
    banner = buildah("run", "--user", "1000:1000", container.id, "--", "sh", "-c", SSHD, check=False)
    assert banner.startswith("SSH-2.0-")


@pytest.mark.parametrize("container", BUDGETS, indirect=True)
def test_it_keeps_to_its_budget(container: Container, tmp_path: Path) -> None:
    size = container.size(tmp_path / "layout") / 1e6
    print(f"{container.name}: {size:.0f} MB of {BUDGETS[container.name]}")
    assert size <= BUDGETS[container.name]
