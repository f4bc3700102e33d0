"""Environments: made from images in no time, and nothing that happens in one reaches the image."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from local_image_stage import SITE, contents, fill, make_image

from jupyter_mlplat.backends.local.environments import Environments, in_thread
from jupyter_mlplat.backends.local.packages import installed
from jupyter_mlplat.backends.local.snapshot import compare, same_files, take
from jupyter_mlplat.backends.local.upkeep import compile_modules
from jupyter_mlplat.environments import interpreter
from jupyter_mlplat.environments.relocation import relocate_kernel, relocate_script
from jupyter_mlplat.errors import AlreadyExists, Conflict, NotFound
from jupyter_mlplat.oci.disk import locked
from jupyter_mlplat.oci.manifest import digest_of

RELOCATED = b"#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''\n"


@pytest.fixture
def environments(tmp_path):
    return Environments(tmp_path / "data", background=False)


@pytest.fixture
def digest(environments, tmp_path):
    return make_image(environments, tmp_path, {"alpha": "1.0", "beta": "2.0"})


async def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)


def kill_when_it_speaks(command: list[str]) -> None:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)


async def clone(environments, digest, tmp_path, name="env") -> Path:
    target = tmp_path / "instances" / name
    await environments.clone(digest, target)
    return target


async def test_a_clone_runs_the_packages_of_its_image(environments, digest, tmp_path):
    env = await clone(environments, digest, tmp_path)
    program = "import sys, alpha; print(alpha.VERSION, sys.prefix)"
    ran = await run(env / "bin/python", "-c", program)
    assert ran.stdout.split() == ["1.0", str(env)]


async def test_a_clone_moves_with_its_folder(environments, digest, tmp_path):
    env = await clone(environments, digest, tmp_path)
    moved = env.rename(tmp_path / "else where")
    ran = await run(moved / "bin/python", "-c", "import sys; print(sys.prefix)")
    assert ran.stdout.strip() == str(moved)


async def test_times_and_modes_are_the_image_s(environments, digest, tmp_path):
    env = await clone(environments, digest, tmp_path)
    other = await clone(environments, digest, tmp_path, "other")
    assert contents(env) == contents(other) == contents(environments.trees.environment(digest))
    built = tmp_path / "built" / SITE / "alpha" / "__init__.py"
    assert int((env / SITE / "alpha" / "__init__.py").stat().st_mtime) == int(built.stat().st_mtime)


async def test_nothing_in_a_clone_reaches_the_image(environments, digest, tmp_path):
    env = await clone(environments, digest, tmp_path)
    before = contents(environments.trees.environment(digest))
    module = env / SITE / "alpha" / "__init__.py"
    with module.open("a") as file:
        file.write("BROKEN = True\n")
    module.chmod(0o600)
    (env / SITE / "beta" / "__init__.py").unlink()
    library = env / SITE / "alpha" / "fast.so"
    library.unlink()
    library.write_bytes(b"upgraded")
    fill(env, {"gamma": "3.0"})
    assert contents(environments.trees.environment(digest)) == before


async def test_a_library_overwritten_through_a_clone_is_put_right(environments, digest, tmp_path):
    env = await clone(environments, digest, tmp_path)
    shared = env / SITE / "alpha" / "fast.so"
    assert not shared.stat().st_mode & 0o222
    shared.chmod(0o755)
    shared.write_bytes(b"patched in place")
    fresh = await clone(environments, digest, tmp_path, "fresh")
    assert (fresh / SITE / "alpha" / "fast.so").read_bytes() == b"\x7fELF library"
    assert shared.read_bytes() == b"patched in place"


async def test_a_spare_is_taken_by_the_next_clone_only(environments, digest, tmp_path):
    await environments.prepare(digest)
    environments.trees.stock(digest)
    inode = (environments.trees.folder(digest) / "spare").stat().st_ino
    one, two = await clone(environments, digest, tmp_path, "one"), await clone(environments, digest, tmp_path, "two")
    assert one.stat().st_ino == inode != two.stat().st_ino
    assert contents(one) == contents(two)


async def test_many_clones_at_once(environments, digest, tmp_path):
    clones = await asyncio.gather(*(clone(environments, digest, tmp_path, f"env-{number}") for number in range(6)))
    assert len({json.dumps(list(contents(env))) for env in clones}) == 1


async def test_an_environment_in_the_way_is_not_touched(environments, digest, tmp_path):
    env = await clone(environments, digest, tmp_path)
    (env / "mine").write_text("keep")
    with pytest.raises(AlreadyExists):
        await environments.clone(digest, env)
    assert (env / "mine").read_text() == "keep"
    assert [path.name for path in env.parent.iterdir()] == ["env"]


async def test_removing_frees_the_name_at_once(environments, digest, tmp_path):
    env = await clone(environments, digest, tmp_path)
    await environments.remove(env)
    assert not env.exists()
    await environments.remove(env)
    assert (await clone(environments, digest, tmp_path)).exists()


async def test_an_unknown_image_is_not_found(environments, tmp_path):
    with pytest.raises(NotFound):
        await environments.clone(digest_of(b"nothing"), tmp_path / "env")
    assert not (tmp_path / "env").exists()


async def test_an_image_for_another_python_is_refused_in_words(environments, tmp_path, monkeypatch):
    monkeypatch.setattr(interpreter, "PYTHON", "3.99")
    digest = make_image(environments, tmp_path, {})
    monkeypatch.undo()
    with pytest.raises(Conflict, match=r"needs Python 3\.99, and this platform runs on Python 3\.\d+"):
        await environments.prepare(digest)


async def test_what_is_half_compiled_is_not_cloned(environments, digest, tmp_path):
    await environments.prepare(digest)
    cache = environments.trees.environment(digest) / SITE / "alpha" / "__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "core.cpython-311.pyc.139719404239664").write_bytes(b"half")
    (cache / "kept.txt").write_text("kept")
    env = await clone(environments, digest, tmp_path)
    assert [path.name for path in (env / SITE / "alpha" / "__pycache__").iterdir()] == ["kept.txt"]


async def test_compiled_modules_serve_every_clone(environments, digest, tmp_path):
    await environments.prepare(digest)
    compile_modules(environments.trees.folder(digest))
    env = await clone(environments, digest, tmp_path)
    ran = await run(env / "bin/python", "-v", "-c", "import alpha")
    (compiled,) = (env / SITE / "alpha" / "__pycache__").iterdir()
    assert f"code object from '{compiled}'" in ran.stderr


async def test_upkeep_works_beside_the_platform(digest, tmp_path):
    environments = Environments(tmp_path / "data")
    await environments.prepare(digest)
    await in_thread(environments._upkeep[digest].wait)
    assert environments.trees.is_kept_up(digest)
    await environments.close()


async def test_upkeep_ends_with_the_platform(digest, tmp_path):
    environments = Environments(tmp_path / "data")
    await environments.prepare(digest)
    await environments.close()
    assert environments._upkeep[digest].returncode is not None


KILLED = """
import os, sys
from pathlib import Path
from jupyter_mlplat.backends.local import trees
from jupyter_mlplat.backends.local.environments import Environments
digest = sys.argv[2]
take = trees.take
def stop_before_the_end(environment):
    print("unpacked", flush=True)
    sys.stdin.read()
trees.take = stop_before_the_end
Environments(Path(sys.argv[1]), background=False).trees.prepare(digest)
"""


async def test_a_killed_preparation_starts_clean(environments, digest, tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "data"), digest]
    await asyncio.to_thread(kill_when_it_speaks, command)
    assert not environments.trees.is_ready(digest)
    left = Path(f"{environments.trees.folder(digest)}.partial")
    (left / "env" / "junk").write_text("left")
    await environments.prepare(digest)
    assert not left.exists()
    assert not (environments.trees.environment(digest) / "junk").exists()


async def test_an_unpacking_given_up_leaves_nothing(environments, digest):
    steps = environments.unpack(digest)
    await anext(steps)
    await steps.aclose()
    assert not list(environments.trees.root.glob("*.partial"))
    await environments.prepare(digest)


def test_half_made_trees_go_at_the_start_unless_somebody_makes_them(environments, digest, tmp_path):
    left, under_way = (environments.trees.root / f"{name * 64}.partial" for name in "ab")
    for partial in (left, under_way):
        (partial / "env").mkdir(parents=True)
    with locked(under_way.with_suffix(".lock")):
        Environments(tmp_path / "data", background=False)
    assert not left.exists()
    assert under_way.exists()


async def test_collecting_removes_unused_trees_only(environments, digest, tmp_path):
    other = make_image(environments, tmp_path / "other", {"gamma": "3.0"}, "other:1")
    await environments.prepare(digest)
    await environments.prepare(other)
    assert environments.trees.collect({digest}) > 0
    assert environments.trees.is_ready(digest)
    assert not environments.trees.is_ready(other)


async def test_what_differs_from_the_image_is_found(environments, digest, tmp_path):
    env = await clone(environments, digest, tmp_path)
    original = environments.trees.environment(digest)

    def changes():
        made = json.loads((env / ".mlplat.json").read_text())["made_at_ns"]
        return compare(environments.trees.index(digest), take(env), same_files(original, env), made_at_ns=made)

    assert not changes()
    module = env / SITE / "alpha" / "__init__.py"
    module.touch()
    assert not changes(), "a new time alone is no change"
    state = module.stat()
    module.write_text("VERSION = '9.9'\n")
    os.utime(module, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert list(changes().changed) == [f"{SITE}/alpha/__init__.py"], "same size, same time, other bytes"
    (env / SITE / "beta" / "fast.so").unlink()
    (env / "bin" / "outside").symlink_to("/etc")
    (env / "bin" / "inside").symlink_to(env / SITE)
    found = changes()
    assert found.gone == [f"{SITE}/beta/fast.so"]
    assert found.changed["bin/inside"].target == f"../{SITE}"
    assert [each.path for each in take(env).left_out] == ["bin/outside"]


def test_packages_are_read_without_python(tmp_path):
    fill(tmp_path, {"zeta": "1.0", "Alpha_one": "2.0rc1"})
    (tmp_path / SITE / "broken-1.dist-info").mkdir()
    (tmp_path / SITE / "broken-1.dist-info" / "METADATA").write_bytes(b"\xff\xfe nonsense")
    assert list(installed(tmp_path)) == [
        ("Alpha_one", "2.0rc1"),
        ("zeta", "1.0"),
    ]


@pytest.mark.parametrize(
    ("script", "relocated"),
    [
        (b"#!/env/bin/python\nprint(1)\n", RELOCATED + b"print(1)\n"),
        (b"#!/env/bin/python3.11\nx", RELOCATED + b"x"),
        (b"#! /env/bin/python -I\nx", RELOCATED.replace(b"'python' ", b"'python' -I ") + b"x"),
        (b"#!/bin/sh\n'''exec' /env/bin/python \"$0\" \"$@\"\n' '''\nx", RELOCATED + b"x"),
        (b"#!/bin/sh\n'''exec' \"/env/bin/python\" \"$0\" \"$@\"\n' '''\nx", RELOCATED + b"x"),
        (RELOCATED + b"x", RELOCATED + b"x"),
        (b"#!/usr/bin/env python\nx", b"#!/usr/bin/env python\nx"),
        (b"#!/other/bin/python\nx", b"#!/other/bin/python\nx"),
        (b"#!/env/bin/perl\nx", b"#!/env/bin/perl\nx"),
        (b"\x7fELF/env/bin/python", b"\x7fELF/env/bin/python"),
    ],
)
def test_scripts_find_the_python_beside_them(script, relocated):
    assert relocate_script(script, ("/env",)) == relocated


def test_a_relocated_script_runs_and_takes_its_arguments(tmp_path):
    script = tmp_path / "a folder" / "say"
    script.parent.mkdir()
    (script.parent / "python").symlink_to(sys.executable)
    script.write_bytes(
        relocate_script(b"#!/env/bin/python -I\nimport sys\nprint(sys.argv[1:], sys.flags.isolated)\n", ("/env",))
    )
    script.chmod(0o755)
    (tmp_path / "link").symlink_to(script)
    for call in (script, tmp_path / "link"):
        ran = subprocess.run([call, "two words", "$HOME"], capture_output=True, text=True, check=True)
        assert ran.stdout == "['two words', '$HOME'] 1\n"


def test_a_kernel_of_the_environment_s_own_says_just_python():
    own = json.dumps({"argv": ["/env/bin/python3", "-m", "ipykernel_launcher"], "language": "python"}).encode()
    other = json.dumps({"argv": ["/usr/bin/R"]}).encode()
    assert json.loads(relocate_kernel(own, ("/env",)))["argv"][0] == "python"
    assert relocate_kernel(other, ("/env",)) == other
    assert relocate_kernel(b"not json", ("/env",)) == b"not json"
