"""The images of the control plane hold what their parts run, and not much more."""

import stat
from pathlib import Path

import pytest
from containers import Container

from benchmarks.sizes import CONTROL_PLANE as BUDGETS

PROGRAMS = {
    "platform": ("tini", "python", "node", "configurable-http-proxy", "/usr/sbin/sshd", "socat"),
    "node-agent": ("tini", "python", "rclone", "fusermount3"),
}
LOADED = {
    "platform": "jupyter_mlplat.app, jupyter_mlplat.hub.kube_config, jupyter_mlplat.gateway.keeper, jupyterhub.app",
    "node-agent": "jupyter_mlplat.agent.__main__",
}
UNCHECKED = 1
"""The flags of a compiled module whose source is not looked at (PEP 552)."""

CONTAINERS = pytest.mark.parametrize("container", BUDGETS, indirect=True)


@CONTAINERS
def test_its_programs_are_there(container: Container) -> None:
    for program in PROGRAMS[container.name]:
        assert container.run("sh", "-c", f"command -v {program}", user="10001:10001").startswith("/")
    container.run("python", "-c", f"import {LOADED[container.name]}", user="10001:10001")


@CONTAINERS
def test_its_modules_are_compiled_and_go_by_no_time(container: Container) -> None:
    site = next(container.root().glob("opt/mlplat/venv/lib/python3*/site-packages"))
    compiled = [*site.glob("jupyter_mlplat/**/*.pyc"), *site.glob("httpx/**/*.pyc")]
    assert len(compiled) > 100
    assert {int.from_bytes(path.read_bytes()[4:8], "little") for path in compiled} == {UNCHECKED}


def test_buckets_can_be_mounted_with_current_programs() -> None:
    container = Container("node-agent")
    try:
        assert container.run("rclone", "version").startswith("rclone v1.")
        assert "version: 3." in container.run("fusermount3", "--version")
    finally:
        container.remove()


@CONTAINERS
def test_nobody_becomes_root_and_nothing_of_others_is_in_it(container: Container) -> None:
    root = container.root()
    files = [path for path in root.rglob("*") if stat.S_ISREG(path.lstat().st_mode)]
    assert [path for path in files if path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID)] == []
    assert list(root.glob("etc/ssh/ssh_host_*")) == []
    assert list(root.glob("opt/mlplat/venv/lib/python3*/site-packages/jupyterlab/__init__.py")) == []


@CONTAINERS
def test_it_keeps_to_its_budget(container: Container, tmp_path: Path) -> None:
    size = container.size(tmp_path / "layout") / 1e6
    print(f"{container.name}: {size:.0f} MB of {BUDGETS[container.name]}")
    assert size <= BUDGETS[container.name]
