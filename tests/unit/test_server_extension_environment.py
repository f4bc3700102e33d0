"""Kernels, terminals and commands run in the instance's environment, and in nothing of the platform's."""

import base64
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from server_extension_stage import LOGIN, SERVER_TOKEN, Platform, Server
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

import jupyter_mlplat
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.server_extension.environment import environment_of, leave_token, read_runtime

pytest_plugins = ["server_extension_stage"]

RUNTIME = {"environment": "/envs/a", "instance_id": "i-1", "name": "digits", "variables": {"OMP_NUM_THREADS": "2"}}


COMMANDS = Path(jupyter_mlplat.__file__).parent / "cli" / "bin"


def test_the_environment_comes_first_and_the_servers_secrets_stay_out() -> None:
    base = {
        "PATH": f"{sys.prefix}/bin:/opt/other/bin:/usr/bin", "HOME": "/home/ann", "LANG": "C.UTF-8",
        "VIRTUAL_ENV": "/opt/other", "PYTHONPATH": "/platform", "PYTHONHOME": "/platform", "CONDA_PREFIX": "/conda",
        "JUPYTERHUB_API_TOKEN": "s", "JPY_API_TOKEN": "s", "JUPYTERHUB_USER": "ann", "MLPLAT_TOKEN": "s",
        "JUPYTER_CONFIG_DIR": "/x", "MLPLAT_WORK": "/work", "OMP_NUM_THREADS": "64",
    }  # fmt: skip
    made = environment_of(RUNTIME, base)
    assert made.pop("PYTHONPATH").endswith("/jupyter_mlplat/in_environment")
    assert made.pop("PATH") == f"/envs/a/bin:/usr/bin:{COMMANDS}"
    assert made == {
        "MLPLAT_PYTHON": sys.executable, "VIRTUAL_ENV": "/envs/a", "HOME": "/home/ann", "LANG": "C.UTF-8",
        "JUPYTERHUB_USER": "ann", "MLPLAT_WORK": "/work", "OMP_NUM_THREADS": "2", "MLPLAT_INSTANCE_ID": "i-1",
        "MLPLAT_INSTANCE_NAME": "digits",
    }  # fmt: skip


def test_paths_of_the_flavor_are_added_not_put_in_place() -> None:
    made = environment_of(RUNTIME | {"variables": {"PATH": "/cuda/bin", "PYTHONPATH": "/more"}}, {"PATH": "/usr/bin"})
    assert made["PATH"] == f"/envs/a/bin:/usr/bin:/cuda/bin:{COMMANDS}"
    assert made["PYTHONPATH"].endswith("/in_environment:/more")


def test_the_token_lies_beside_the_description_for_nobody_else_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPLAT_RUNTIME", str(tmp_path / "runtime.json"))
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "own")
    leave_token()
    assert (tmp_path / "token").read_text() == "own"
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_mlplat_of_a_terminal_is_the_platforms_own() -> None:
    made = environment_of(RUNTIME, {"PATH": "/usr/bin:/bin"})
    done = subprocess.run(["mlplat", "--version"], env=made, capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.startswith("mlplat ")


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}"])
def test_a_damaged_description_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    file = tmp_path / "runtime.json"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("MLPLAT_RUNTIME", str(file))
    with pytest.raises(BackendFailure, match="Restart the instance"):
        read_runtime()


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment without ipykernel, with a kernel of its own in a bare-named program."""
    folder = tmp_path / "env"
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "python"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    own = folder / "share" / "jupyter" / "kernels" / "Own"
    own.mkdir(parents=True)
    (own / "kernel.json").write_text(json.dumps({"argv": ["python", "x"], "display_name": "Own", "language": "own"}))
    broken = own.parent / "broken"
    broken.mkdir()
    (broken / "kernel.json").write_text("{")
    return folder


def specs(client: httpx.Client) -> dict[str, Any]:
    answer = client.get("/api/kernelspecs").json()
    assert answer["default"] == "python3"
    return {name: spec["spec"] for name, spec in answer["kernelspecs"].items()}


def test_only_the_environments_kernels_are_offered(server: Server, environment: Path) -> None:
    with server.client() as client:
        assert specs(client)["python3"]["display_name"] == "Python 3 (python:3.11)"
        server.describe(environment=str(environment), image={"id": "m-2", "name": "torch"})
        offered = specs(client)
        assert sorted(offered) == ["own", "python3"]
        assert offered["python3"]["argv"][0] == str(environment / "bin" / "python")
        assert offered["python3"]["display_name"] == "Python 3 (torch)"
        assert offered["own"]["argv"][0] == str(environment / "bin" / "python")


def test_a_missing_ipykernel_is_said_in_words(server: Server, environment: Path) -> None:
    server.describe(environment=str(environment))
    body = {"path": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    with server.client() as client:
        for path, posted in (("/api/sessions", body), ("/api/kernels", {"name": "python3"})):
            answer = client.post(path, json=posted)
            assert answer.status_code == 500
            assert "pip install ipykernel" in answer.json()["message"]
        (environment / "bin" / "python").unlink()
        assert "has no Python" in client.post("/api/kernels", json={"name": "python3"}).json()["message"]


@pytest.fixture
def kernel(server: Server) -> Iterator[tuple[httpx.Client, str]]:
    with server.client() as client:
        body = {"path": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
        session = client.post("/api/sessions", json=body).json()
        yield client, session["kernel"]["id"]
        client.delete(f"/api/sessions/{session['id']}")


def evaluate(server: Server, kernel_id: str, expression: str) -> Any:
    client = BlockingKernelClient(connection_file=str(server.folder / "runtime" / f"kernel-{kernel_id}.json"))
    client.load_connection_file()
    # on a busy machine a kernel that is still starting would be taken for dead by its missing heartbeat
    client.start_channels(hb=False)
    try:
        client.wait_for_ready(timeout=60)
        printed: list[str] = []
        client.execute_interactive(
            f"import json, os, sys; print(json.dumps({expression}))",
            timeout=30,
            output_hook=lambda message: printed.append(message["content"].get("text", "")),
        )
        return json.loads("".join(printed))
    finally:
        client.stop_channels()


def test_a_kernel_sees_its_flavor_anew_at_each_start(server: Server, kernel: tuple[httpx.Client, str]) -> None:
    client, kernel_id = kernel
    seen = evaluate(server, kernel_id, "dict(os.environ)")
    assert seen["OMP_NUM_THREADS"] == "2"
    assert seen["PRICE"] == "5$"
    assert seen["CUDA_VISIBLE_DEVICES"] == ""
    assert seen["VIRTUAL_ENV"] == sys.prefix
    assert seen["PATH"].split(":")[0] == f"{sys.prefix}/bin"
    assert seen["JPY_SESSION_NAME"].endswith("a.ipynb")
    assert seen["MLPLAT_INSTANCE_ID"] == "i-test"
    assert SERVER_TOKEN not in seen.values()
    cpu = sorted(os.sched_getaffinity(0))[-1]
    server.describe(variables={"OMP_NUM_THREADS": "1"}, cpus=[cpu])
    assert client.post(f"/api/kernels/{kernel_id}/restart").status_code == 200
    again = evaluate(server, kernel_id, "[dict(os.environ), sorted(os.sched_getaffinity(0))]")
    assert (again[0]["OMP_NUM_THREADS"], again[1]) == ("1", [cpu])
    assert "PRICE" not in again[0]
    assert again[0]["JPY_SESSION_NAME"] == seen["JPY_SESSION_NAME"]


async def test_a_terminal_has_the_environment_and_names_the_instance(server: Server) -> None:
    (server.folder / ".bashrc").write_text("PATH=/usr/bin:/bin\nexport MINE=yes\n")
    async with httpx.AsyncClient(base_url=server.url, headers=server.headers) as client:
        name = (await client.post("/api/terminals", json={})).json()["name"]
        address = f"{server.url.replace('http', 'ws')}/terminals/websocket/{name}?token={LOGIN}"
        socket = await websocket_connect(HTTPRequest(address))
        command = "echo $MINE:${PATH%%:*}:$OMP_NUM_THREADS:$JUPYTERHUB_API_TOKEN:"
        await socket.write_message(json.dumps(["stdin", f"{command}\n"]))
        shown = ""
        wanted = f"yes:{sys.prefix}/bin:2::"
        while wanted not in shown:
            kind, *content = json.loads(await socket.read_message() or "")
            shown += content[0] if kind == "stdout" else ""
        assert "digits" in shown
        socket.close()
        await client.delete(f"/api/terminals/{name}")


def run(server: Server, *argv: str, cwd: str = "") -> tuple[bytes, bytes, int]:
    body = {"argv": argv, "cwd": cwd}
    streams = {"stdout": b"", "stderr": b""}
    with httpx.stream("POST", f"{server.url}/mlplat/exec", json=body, headers=server.headers, timeout=60) as answer:
        assert answer.status_code == 200
        lines = [json.loads(line) for line in answer.iter_lines()]
    for line in lines[:-1]:
        streams[line["stream"]] += base64.b64decode(line["data"])
    return streams["stdout"], streams["stderr"], lines[-1]["exit_code"]


def test_a_command_runs_in_the_environment_and_in_its_folder(server: Server) -> None:
    (server.work / "sub").mkdir(exist_ok=True)
    code = (
        "import os, sys; print(os.getcwd(), sys.prefix, os.environ.get('JUPYTERHUB_API_TOKEN'));"
        "print('no', file=sys.stderr); sys.exit(3)"
    )
    out, err, exit_code = run(server, "python", "-c", code, cwd="sub")
    assert (out.decode(), err, exit_code) == (f"{server.work / 'sub'} {sys.prefix} None\n", b"no\n", 3)


def test_a_signal_is_told_as_a_shell_does_it(server: Server) -> None:
    assert run(server, "sh", "-c", "kill -9 $$") == (b"", b"", 137)


def test_much_output_is_whole_and_bytes_are_bytes(server: Server) -> None:
    out, _, exit_code = run(server, "sh", "-c", "head -c 3000000 /dev/zero; printf '\\377'")
    assert (out, exit_code) == (b"\0" * 3_000_000 + b"\xff", 0)


def test_a_process_left_in_the_background_does_not_hold_the_answer(server: Server) -> None:
    out, _, exit_code = run(server, "sh", "-c", "sleep 60 & echo $!")
    assert exit_code == 0
    psutil.Process(int(out)).kill()


def test_output_flows_and_the_command_ends_with_its_client(server: Server) -> None:
    body = {"argv": ["sh", "-c", "sleep 600 & echo $$ $!; wait"]}
    with httpx.stream("POST", f"{server.url}/mlplat/exec", json=body, headers=server.headers, timeout=30) as answer:
        lines = answer.iter_lines()
        first = json.loads(next(lines))
        processes = [psutil.Process(int(pid)) for pid in base64.b64decode(first["data"]).split()]
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize(("body", "words"), [
    ({"argv": ["no-such-program"]}, "no program no-such-program"),
    ({"argv": ["./plain.txt"]}, "not an executable"),
    ({"argv": []}, "list of strings"),
    ({"argv": "ls"}, "list of strings"),
    ({"argv": ["a\0b"]}, "list of strings"),
    ({"argv": ["true"], "cwd": "nowhere"}, "no folder nowhere"),
    ({"argv": ["true"], "cwd": "../.."}, "outside"),
    ([], "JSON object"),
])  # fmt: skip
def test_what_cannot_be_run_is_said_in_words(server: Server, body: Any, words: str) -> None:
    (server.work / "plain.txt").touch(mode=0o644)
    answer = httpx.post(f"{server.url}/mlplat/exec", json=body, headers=server.headers)
    assert answer.status_code == 422
    assert words in answer.json()["error_msg"]


def test_who_am_i_is_answered_without_the_platform(platform: Platform, server: Server) -> None:
    platform.seen.clear()
    body = httpx.get(f"{server.url}/mlplat/instance", headers=server.headers).json()
    assert (body["instance_id"], body["user"], body["console"]) == ("i-test", "ann", "/services/mlplat/")
    assert body["runtime"]["name"] == "digits"
    assert platform.seen == []


def test_commands_side_by_side_do_not_wait_for_each_other(server: Server) -> None:
    fifo = server.work / "fifo"
    os.mkfifo(fifo)
    results: list[Any] = []
    reader = threading.Thread(target=lambda: results.append(run(server, "cat", "fifo")))
    reader.start()
    assert run(server, "sh", "-c", "echo through > fifo")[2] == 0
    reader.join(30)
    assert results == [(b"through\n", b"", 0)]
