"""Environments inside an instance, made by the real uv and the real rattler from packages on disk."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conda_channel import greeting_package, make_channel, python_package
from shelf import served
from wheels import make_wheel

from jupyter_mlplat.environments import interpreter, pip_packages
from jupyter_mlplat.environments.files import available, find, read
from jupyter_mlplat.environments.kernels import kernel_folder
from jupyter_mlplat.environments.listing import listing
from jupyter_mlplat.environments.making import clone, create, remove
from jupyter_mlplat.environments.places import half_made, sweep
from jupyter_mlplat.errors import (
    AlreadyExists,
    BackendFailure,
    InvalidInput,
    MlplatError,
    NoSpace,
    NotAllowed,
    NotFound,
)
from jupyter_mlplat.runner.kernel import installed_kernels


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Wheels, among them one that is called ipykernel."""
    folder = tmp_path_factory.mktemp("wheels")
    make_wheel(folder, "ipykernel", "7.0")
    make_wheel(folder, "alpha", "1.0", needs="beta", script=True)
    make_wheel(folder, "beta", "2.0")
    return folder


@pytest.fixture(scope="module")
def channel(tmp_path_factory):
    return make_channel(tmp_path_factory.mktemp("channel") / "main", python_package(), greeting_package())


@pytest.fixture
def offline(wheels, monkeypatch):
    """pip's settings as on a machine that has only the wheels."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))


@pytest.fixture
def environment(tmp_path, offline, monkeypatch):
    """The environment of an instance."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "instance" / "env"
    interpreter.tie(folder)
    (folder / f"lib/python{interpreter.PYTHON}/site-packages").mkdir(parents=True)
    return folder


@pytest.fixture
def made(environment, tmp_path):
    """Makes an environment from what a file says."""

    def make(text: str, name: str = "vision", file: str = "requirements.txt") -> list[str]:
        path, lines = tmp_path / file, []
        path.write_text(text)
        create(environment, name, path, file, lines.append)
        return lines

    return make


def said_by(*command) -> str:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout.strip()


def names(environment) -> list[str]:
    return [found.name for found in listing(environment, "python:3.11")]


def left(environment) -> list[str]:
    return sorted(path.name for path in (environment / "envs").glob("*"))


CONDA = "channels: [{channel}]\ndependencies:\n  - python=3.11\n  - greeting\n  - pip:\n    - alpha\n"


def test_one_is_made_from_a_requirements_file(environment, made):
    lines = made("alpha==1.0\n")
    folder = environment / "envs" / "vision"
    assert said_by(folder / "bin/alpha") == f"1.0 {folder}"
    assert said_by(folder / "bin/python", "-c", "import beta; print(beta.VERSION)") == "2.0"
    assert any("Installed" in line for line in lines)
    base, found = listing(environment, "python:3.11")
    assert (base.name, base.kind, base.kernel, base.source) == ("base", "base", "python3", "python:3.11")
    assert (found.name, found.kind, found.kernel, found.source) == ("vision", "venv", "vision", "requirements.txt")
    assert found.packages == 3
    assert found.python.startswith("3.11")
    assert 0 < found.size < 1_000_000


def test_its_kernel_runs_its_python(environment, made):
    made("alpha")
    spec = json.loads((kernel_folder(environment, "vision") / "kernel.json").read_text())
    assert spec["display_name"] == "vision (Python 3.11)"
    command = installed_kernels(environment)["vision"]
    assert Path(command[0]).resolve(strict=True)
    assert said_by(command[0], "-c", "import sys; print(sys.prefix)") == str(environment / "envs" / "vision")
    assert (kernel_folder(environment, "vision") / "logo-64x64.png").is_file()


def test_it_moves_with_its_instance(environment, made, tmp_path):
    made("alpha")
    moved = environment.rename(tmp_path / "else where")
    assert said_by(moved / "envs/vision/bin/alpha") == f"1.0 {moved}/envs/vision"


def test_one_is_made_from_a_conda_file_with_packages_of_pip(environment, made, channel):
    lines = made(CONDA.format(channel=channel), "sky", "sky.yml")
    folder = environment / "envs" / "sky"
    assert said_by(folder / "bin/greet") == str(folder)
    assert said_by(folder / "bin/alpha") == f"1.0 {folder}"
    assert (folder / "share/greeting/place.bin").read_bytes().startswith(b"\0\1" + os.fsencode(folder) + b"/share\0")
    assert "Installing greeting (2 of 2)" in lines or "Installing greeting (1 of 2)" in lines
    found = listing(environment, "x")[1]
    assert (found.kind, found.python, found.packages) == ("conda", python_package().version, 5)


def test_a_conda_channel_may_be_on_the_network(environment, made, channel):
    with served(Path(channel.removeprefix("file://"))) as address:
        lines = made(CONDA.format(channel=address), "sky", "sky.yml")
    assert f"Reading {address}" in lines
    assert "Downloading greeting" in lines
    assert said_by(environment / "envs/sky/bin/greet") == str(environment / "envs/sky")


def test_a_conda_channel_that_does_not_answer_leaves_nothing_and_is_said(environment, made, tmp_path):
    with served(tmp_path) as address:
        """Its port is free from here on."""
    with pytest.raises(BackendFailure, match="could not be installed"):
        made(f"channels: ['{address}']\ndependencies: [python]\n", file="x.yml")
    assert left(environment) == []


def test_a_clone_stands_on_its_own(environment, made, channel):
    made(CONDA.format(channel=channel), "sky", "sky.yml")
    clone(environment, "copy", "sky", lambda _: None)
    remove(environment, "sky")
    folder = environment / "envs" / "copy"
    assert said_by(folder / "bin/greet") == str(folder)
    assert said_by(folder / "bin/alpha") == f"1.0 {folder}"
    place = (folder / "share/greeting/place.bin").read_bytes()
    assert place.startswith(b"\0\1" + os.fsencode(folder) + b"/share\0")
    assert place.endswith(b"\0\xff after \0")
    assert names(environment) == ["base", "copy"]


def test_the_instances_own_can_be_cloned(environment, made):
    made("alpha", "first")
    said_by(environment / "envs/first/bin/python", "-c", "pass")
    clone(environment, "second", "base", lambda _: None)
    folder = environment / "envs" / "second"
    assert said_by(folder / "bin/python", "-c", "import sys; print(sys.prefix)") == str(folder)
    assert not (folder / "envs").exists()
    assert not list((folder / "share/jupyter/kernels").glob("*"))


def test_a_removed_one_is_gone_with_its_kernel(environment, made):
    made("alpha")
    remove(environment, "vision")
    assert names(environment) == ["base"]
    assert left(environment) == []
    assert not kernel_folder(environment, "vision").exists()


def test_the_instances_own_cannot_be_removed(environment):
    with pytest.raises(NotAllowed):
        remove(environment, "base")
    with pytest.raises(NotFound):
        remove(environment, "../env")


@pytest.mark.parametrize("name", ["", "Vision", "a b", "../x", "x" * 65, "é", "base", "python3", ".x", "a\n"])
def test_bad_names_are_refused(environment, made, name):
    with pytest.raises(InvalidInput):
        made("alpha", name)
    assert not (environment / "envs").exists()


def test_one_that_exists_is_refused(environment, made):
    made("alpha")
    with pytest.raises(AlreadyExists):
        made("beta")
    with pytest.raises(AlreadyExists):
        clone(environment, "vision", "base", lambda _: None)


def test_what_cannot_be_installed_leaves_nothing_and_says_why(environment, made):
    with pytest.raises(BackendFailure, match="nowhere-to-be-found"):
        made("alpha\nnowhere-to-be-found\n")
    assert left(environment) == []
    assert not kernel_folder(environment, "vision").exists()


def test_conda_packages_that_cannot_be_had_leave_nothing_and_say_why(environment, made, channel):
    with pytest.raises(BackendFailure, match="unheard-of"):
        made(f"channels: [{channel}]\ndependencies: [python, unheard-of]\n", file="x.yml")
    with pytest.raises(BackendFailure, match="nowhere"):
        made("channels: ['file:///nowhere']\ndependencies: [python]\n", file="x.yml")
    assert left(environment) == []


@pytest.mark.parametrize(
    ("text", "file", "words"),
    [
        ("# nothing\n", "requirements.txt", "names no packages"),
        ("name: x\n", "x.yml", "names no packages"),
        ("dependencies: [greeting]\n", "x.yml", "names no Python"),
        ("dependencies: [", "x.yml", "no YAML"),
        ("[project]\nname='x'\n", "pyproject.toml", "names no packages"),
        ("[project\n", "pyproject.toml", "no TOML"),
        ("[project]\nrequires-python='>=3.99'\ndependencies=['alpha']\n", "pyproject.toml", "Python 3.11"),
        ("alpha", "notes.md", "describes no environment"),
    ],
)
def test_files_that_describe_none_are_refused(made, text, file, words):
    with pytest.raises(InvalidInput, match=words):
        made(text, file=file)


def test_a_toml_file_will_do(environment, made):
    made("[project]\nname='x'\nrequires-python='>=3.10'\ndependencies=['beta']\n", file="pyproject.toml")
    assert listing(environment, "x")[1].packages == 2


def test_hashes_are_checked_where_the_file_has_them(made, wheels):
    with pytest.raises(BackendFailure, match=r"(?i)hash"):
        made(f"beta==2.0 --hash=sha256:{'0' * 64}\n")


def test_what_a_killed_process_left_is_swept_away(environment, made, tmp_path):
    program = (
        "import sys, pathlib\nfrom jupyter_mlplat.environments.places import Facts, making\n"
        "with making(pathlib.Path(sys.argv[1]), 'half', Facts.now('x')) as folder:\n"
        "    (folder / 'bin').mkdir()\n    print('there', flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(environment)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"there\n"
        assert half_made(environment) == ["half"]
        sweep(environment)
        assert left(environment) == [".half.partial"]
        with pytest.raises(MlplatError, match="just now"):
            made("beta", "half")
        process.send_signal(signal.SIGKILL)
    assert names(environment) == ["base"]
    assert half_made(environment) == []
    sweep(environment)
    assert left(environment) == []


def test_one_whose_kernel_was_not_reached_gets_it_at_the_next_start(environment, made):
    made("alpha")
    (kernel_folder(environment, "vision") / "kernel.json").unlink()
    kernel_folder(environment, "vision").joinpath("logo-64x64.png").unlink()
    kernel_folder(environment, "vision").rmdir()
    sweep(environment)
    assert listing(environment, "x")[1].kernel == "vision"


@pytest.fixture
def large_environment(environment):
    """One that a small disk has no room for."""
    (environment / "large.bin").write_bytes(b"x" * (5 << 20))
    return environment


def test_a_full_disk_is_said_in_words_and_leaves_nothing(large_environment, small_disk):
    (large_environment / "envs").symlink_to(small_disk)
    with pytest.raises(NoSpace, match="disk is full"):
        clone(large_environment, "copy", "base", lambda _: None)
    assert left(large_environment) == []


def test_the_full_disk_of_another_program_is_known_by_its_words():
    words = "error: Failed to install: x.whl\n  Caused by: No space left on device (os error 28)"
    assert isinstance(pip_packages.failure(words), NoSpace)
    assert isinstance(pip_packages.failure("error: nothing matches"), BackendFailure)


def test_files_are_those_of_the_platform_and_the_users(tmp_path):
    (tmp_path / "conda-envs").mkdir()
    (tmp_path / "conda-envs" / "My Sky.yml").write_text("# Looks up\ndependencies: [python]\n")
    (tmp_path / "requirements.txt").write_text("alpha\n")
    (tmp_path / "compose.yml").write_text("services: {}\n")
    (tmp_path / "notes.txt").write_text("none\n")
    own = [found for found in available(tmp_path) if not found.name.startswith("platform:")]
    assert [(each.name, each.title, each.kind) for each in own] == [
        ("requirements.txt", "requirements", "pip"),
        ("conda-envs/My Sky.yml", "my-sky", "conda"),
    ]
    assert own[1].description == "Looks up"
    for refused in ("../x.txt", "none.txt", "platform:../pyproject.toml"):
        with pytest.raises(NotFound):
            find(tmp_path, refused)


def test_every_file_of_the_platform_can_be_read(tmp_path):
    shipped = [found for found in available(tmp_path) if found.name.startswith("platform:")]
    assert shipped
    for each in shipped:
        assert each.description
        assert read(find(tmp_path, each.name)).kind == each.kind
