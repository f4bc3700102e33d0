"""Environments by the instance's server and by `mlplat env`: made beside the kernels, seen without a restart."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from server_extension_stage import Server
from wheels import make_wheel

from jupyter_mlplat.environments import interpreter
from jupyter_mlplat.server_extension.environment import environment_of

pytest_plugins = ["server_extension_stage"]


@pytest.fixture
def environment(server: Server, tmp_path: Path) -> Path:
    """The instance's own, in which an ipykernel lies, and the work folder with files for others."""
    folder = tmp_path / "env"
    interpreter.tie(folder)
    (folder / f"lib/python{interpreter.PYTHON}/site-packages").mkdir(parents=True)
    server.describe(environment=str(folder))
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "ipykernel", "7.0")
    make_wheel(wheels, "alpha", "1.0")
    only = f"--no-index\n--find-links {wheels}\nipykernel\n"
    (server.work / "requirements.txt").write_text(f"# For tests\n{only}alpha\n")
    (server.work / "requirements-bad.txt").write_text(f"{only}nowhere-to-be-found\n")
    return folder


@pytest.fixture
def client(server: Server, environment: Path) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client
        for work in client.get("/mlplat/environments/work").json():
            client.delete(f"/mlplat/environments/work/{work['id']}")


def make(client: httpx.Client, name: str, **how: str) -> dict[str, Any]:
    """Have one made, and wait until that is over; each question is one turn of the server's loop."""
    answer = client.post("/mlplat/environments", json={"name": name, **how})
    assert answer.status_code == 202, answer.text
    work = answer.json()
    while work["state"] == "running":
        work = next(each for each in client.get("/mlplat/environments/work").json() if each["id"] == work["id"])
    return dict(work)


def test_one_is_made_and_its_kernel_is_there_at_once(client: httpx.Client) -> None:
    assert set(client.get("/api/kernelspecs").json()["kernelspecs"]) == {"python3"}
    work = make(client, "vision", file="requirements.txt")
    assert (work["state"], work["message"]) == ("completed", "Ready"), work
    assert any("alpha==1.0" in line for line in work["lines"])
    listed = client.get("/mlplat/environments").json()
    assert [(each["name"], each["kernel"]) for each in listed["environments"]] == [
        ("base", "python3"), ("vision", "vision"),
    ]  # fmt: skip
    assert listed["half_made"] == []
    spec = client.get("/api/kernelspecs/vision").json()["spec"]
    assert spec["display_name"] == "vision (Python 3.11)"
    assert client.delete("/mlplat/environments/named/vision").status_code == 200
    assert set(client.get("/api/kernelspecs").json()["kernelspecs"]) == {"python3"}


def test_a_clone_is_made_and_what_exists_is_refused(client: httpx.Client) -> None:
    make(client, "one", file="requirements.txt")
    assert make(client, "two", clone_of="one")["state"] == "completed"
    refused = client.post("/mlplat/environments", json={"name": "two", "clone_of": "one"})
    assert (refused.status_code, refused.json()["error_code"]) == (409, "MLPLAT.ALREADY_EXISTS")


@pytest.mark.parametrize(("body", "status"), [
    ({"name": "A b", "file": "requirements.txt"}, 422), ({"name": "x"}, 422), ({"file": "requirements.txt"}, 422),
    ({"name": "x", "file": "none.txt"}, 404), ({"name": "x", "clone_of": "none"}, 404),
    ({"name": "x", "file": "../runtime.json"}, 404), ({"name": "x", "clone_of": "../.."}, 404),
    ({"name": "x", "file": "requirements.txt", "clone_of": "base"}, 422),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(client: httpx.Client, body: dict[str, str], status: int) -> None:
    assert client.post("/mlplat/environments", json=body).status_code == status


def test_the_instances_own_stays(client: httpx.Client) -> None:
    assert client.delete("/mlplat/environments/named/base").status_code == 403
    assert client.delete("/mlplat/environments/named/none").status_code == 404


def test_a_failure_shows_the_programs_last_words(client: httpx.Client, environment: Path) -> None:
    work = make(client, "vision", file="requirements-bad.txt")
    assert work["state"] == "failed"
    assert "nowhere-to-be-found" in work["message"]
    assert list((environment / "envs").iterdir()) == []


def test_what_is_cancelled_leaves_nothing(client: httpx.Client, server: Server, environment: Path) -> None:
    hanging = environment.parent / "hanging"
    hanging.mkdir()
    (hanging / "pyproject.toml").write_text('[build-system]\nrequires=[]\nbuild-backend="b"\nbackend-path=["."]\n')
    os.mkfifo(hanging / "there")
    backend = f"open({str(hanging / 'there')!r}, 'w').close()\nimport time\ntime.sleep(600)\n"
    (hanging / "b.py").write_text(backend)
    (server.work / "requirements-hang.txt").write_text(f"--no-index\n{hanging}\n")
    work = client.post("/mlplat/environments", json={"name": "slow", "file": "requirements-hang.txt"}).json()
    (hanging / "there").read_bytes()
    assert client.get("/mlplat/environments").json()["half_made"] == ["slow"]
    again = client.post("/mlplat/environments", json={"name": "slow", "file": "requirements.txt"})
    assert again.status_code == 409
    over = client.delete(f"/mlplat/environments/work/{work['id']}").json()
    assert over["state"] == "cancelled"
    assert list((environment / "envs").iterdir()) == []


def test_the_files_are_named(client: httpx.Client) -> None:
    found = {each["name"]: each for each in client.get("/mlplat/environments/files").json()}
    assert found["requirements.txt"]["description"] == "For tests"
    assert found["platform:data-science.txt"]["kind"] == "pip"


def test_the_command_does_the_same_in_a_terminal(server: Server, environment: Path) -> None:
    base = os.environ | {"MLPLAT_RUNTIME": str(server.runtime_file), "MLPLAT_WORK": str(server.work)}
    variables = environment_of(json.loads(server.runtime_file.read_text()), base)

    def mlplat(*arguments: str) -> subprocess.CompletedProcess[str]:
        call = [str(shutil.which("mlplat", path=variables["PATH"])), "env", *arguments]
        return subprocess.run(call, env=variables, cwd=server.work, capture_output=True, text=True)

    done = mlplat("create", "vision", "requirements.txt")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"vision is ready: Python {interpreter.PYTHON}")
    assert "alpha==1.0" in done.stderr
    rows = json.loads(mlplat("list", "--json").stdout)
    assert [row["name"] for row in rows] == ["base", "vision"]
    assert mlplat("create", "vision", "requirements.txt").returncode == 1
    failed = mlplat("create", "other", "requirements-bad.txt")
    assert failed.returncode == 1
    assert "nowhere-to-be-found" in failed.stderr
    assert mlplat("remove", "vision").returncode == 1
    assert mlplat("remove", "vision", "--yes").returncode == 0
    assert mlplat("remove", "base", "--yes").returncode == 1
    assert "platform:data-science.txt" in mlplat("files").stdout


def test_the_command_says_where_it_belongs() -> None:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MLPLAT_")}
    call = [sys.executable, "-m", "jupyter_mlplat.cli", "env", "list"]
    done = subprocess.run(call, env=outside, capture_output=True, text=True)
    assert (done.returncode, "terminal" in done.stderr) == (1, True)
