"""A saved image is one for any container runtime: Podman, which knows nothing of the platform, pulls it and runs it."""

import shutil
import subprocess
from pathlib import Path

import pytest
from save_stage import SITE, laboratory, saving

PACKAGE = f"""
cd {SITE} && mkdir mine-1.5.dist-info && printf 'Name: mine\\nVersion: 1.5\\n' > mine-1.5.dist-info/METADATA
echo 'answer = 42' > mine.py && rm -r pip && echo kept > /home/ma-user/file
"""
ASK = """
import importlib.metadata, importlib.util, os, pathlib, mine
print(mine.answer, importlib.metadata.version("mine"), importlib.util.find_spec("pip"))
print(os.getuid(), pathlib.Path("/home/ma-user/file").read_text().strip())
"""
# limits that no machine is too small for, and a runtime that takes cgroups as they are
OPTIONS = ["--runtime", "runc", "--network", "none", "--ulimit", "nofile=1000:1000", "--ulimit", "nproc=1000:1000"]


async def test_podman_runs_a_saved_image_with_the_users_package(tmp_path: Path) -> None:
    if missing := [program for program in ("podman", "runc") if shutil.which(program) is None]:
        pytest.fail(f"{' and '.join(missing)} must be installed to run a saved image elsewhere.", pytrace=False)
    async with laboratory(tmp_path) as lab, saving(lab) as ours:
        instance = await lab.start("elsewhere")
        await lab.run(instance, PACKAGE)
        saved = await ours.save(instance, "elsewhere")
    podman("pull", "--quiet", "--tls-verify=false", saved.reference)
    try:
        said = podman("run", "--rm", *OPTIONS, saved.reference, "/opt/mlplat/env/bin/python", "-c", ASK)
        assert said == "42 1.5 None\n1000 kept\n"
    finally:
        podman("rmi", saved.reference)


def podman(*words: str) -> str:
    done = subprocess.run(["podman", *words], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout
