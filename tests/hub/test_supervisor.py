"""`mlplat up`, `status` and `down`, with real processes and real SIGKILLs. The platform process is a stand-in."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from embedded_stage import Stage, eventually, staged

from jupyter_mlplat.core.processes import alive, identify
from jupyter_mlplat.embedded import down, status, up
from jupyter_mlplat.errors import BackendFailure, Conflict, InvalidInput

pytestmark = pytest.mark.hub
PARTS = ("proxy", "platform", "hub", "nursery", "gateway", "tunnel")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("supervisor") / "data") as stage:
        stage.up()
        yield stage


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Stage]:
    """A data folder on which nothing runs."""
    with staged(tmp_path / "data") as stage:
        yield stage


def test_up_leaves_everything_answering_and_says_where(stage: Stage) -> None:
    found = stage.status
    assert found.running and found.supervised
    assert {part.name for part in found.parts} == set(PARTS)
    assert found.url == stage.url
    assert found.login_url.startswith(f"{stage.url}/hub/login?token=")
    assert stage.door_answers()


def test_secrets_are_readable_by_the_owner_only(stage: Stage) -> None:
    secrets = stage.data / "secrets"
    assert secrets.stat().st_mode & 0o777 == 0o700
    files = [*secrets.glob("*[!k]"), stage.data / "profile.json", stage.data / "run" / "supervisor.json"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (stage.data / "run" / "nursery.sock").stat().st_mode & 0o777 == 0o600


def test_the_profile_speaks_for_the_owner_and_is_pointed_to(stage: Stage) -> None:
    profile = json.loads((stage.data / "profile.json").read_text())
    user = stage.hub("GET", "/user", profile["token"]).json()
    assert (profile["url"], profile["user"]) == (f"{stage.url}/services/mlplat", user["name"])
    assert "access:services!service=mlplat" in user["scopes"]
    assert not [scope for scope in user["scopes"] if scope.startswith(("servers", "admin", "tokens"))]
    pointing = stage.data.parent / "config" / "mlplat" / "profile.json"
    assert json.loads(pointing.read_text()) == profile


def test_nothing_listens_beyond_this_machine(stage: Stage) -> None:
    processes = [psutil.Process(stage.part(name).pid) for name in PARTS]
    listening = [
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) == 6
    assert set(listening) == {"127.0.0.1"}


def test_a_second_up_on_the_same_folder_says_where_it_runs(stage: Stage) -> None:
    with pytest.raises(Conflict, match=f"already runs at {stage.url}"):
        stage.up()


def test_a_taken_port_is_named_with_its_holder_and_another(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match=rf"Port {stage.port} is taken by \w+ \(pid \d+\).*--port {stage.port + 10}"):
        up(tmp_path / "other", stage.port, detach=True)
    assert not status(tmp_path / "other").parts


@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_is_killed_comes_back_alone(stage: Stage, name: str) -> None:
    others = {other: stage.part(other) for other in PARTS if other != name}
    restarts = {part.name: part.restarts for part in stage.status.parts}
    killed = stage.kill(name)
    eventually(lambda: stage.restarted(name, killed))
    assert stage.status.running
    assert {other: stage.part(other) for other in others} == others
    assert {part.name: part.restarts for part in stage.status.parts}[name] == restarts[name] + 1


def test_parts_and_servers_outlive_a_killed_supervisor_and_are_taken_over(stage: Stage) -> None:
    owner = stage.status.user
    assert stage.start(owner, "i-kept").status_code == 201
    before, server = {name: stage.part(name) for name in PARTS}, stage.process("i-kept")
    os.kill(stage.status.pid or 0, signal.SIGKILL)
    eventually(lambda: not stage.status.supervised)
    stage.kill("platform")
    assert stage.status.instances == ("i-kept",)
    assert stage.reachable(owner, "i-kept")
    stage.up()
    assert stage.status.running and stage.status.supervised
    assert {name: stage.part(name) for name in PARTS if name != "platform"} == {
        name: process for name, process in before.items() if name != "platform"
    }
    assert alive(server) and stage.reachable(owner, "i-kept")
    assert stage.stop(owner, "i-kept").status_code == 204


def test_another_port_replaces_what_a_killed_supervisor_left(stage: Stage) -> None:
    os.kill(stage.status.pid or 0, signal.SIGKILL)
    eventually(lambda: not stage.status.supervised)
    before, old_port = stage.part("hub"), stage.port
    stage.port = old_port + 1 if old_port < 60000 else old_port - 1
    stage.up()
    assert not alive(before)
    assert stage.door_answers()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", old_port))


def test_down_ends_servers_but_lets_jobs_go_on(fresh: Stage) -> None:
    fresh.up()
    parts = [fresh.part(name) for name in PARTS]
    fresh.start(fresh.status.user, "i-ended")
    server = fresh.process("i-ended")
    runner = subprocess.Popen(
        ["sh", "-c", "while :; do sleep 1000; done", "-m", "jupyter_mlplat.runner", str(fresh.data / "jobs" / "j-1")],
        start_new_session=True,
    )
    with runner:
        after = down(fresh.data)
        assert not after.running and not after.parts and not after.instances
        assert not [process for process in [*parts, server] if alive(process)]
        assert runner.poll() is None
        down(fresh.data, jobs=True)
        assert runner.wait(5) < 0
    down(fresh.data)


def test_in_the_foreground_an_interrupt_stops_everything(fresh: Stage) -> None:
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "supervise", str(fresh.data), "--port", str(fresh.port), "--tell", str(writing)]
    with subprocess.Popen(command, pass_fds=[writing]) as foreground, os.fdopen(reading) as word:
        os.close(writing)
        assert json.loads(word.readline()) == {"ready": True}
        parts = [fresh.part(name) for name in PARTS]
        foreground.send_signal(signal.SIGINT)
        assert foreground.wait(30) == 0
    assert not [process for process in parts if alive(process)]
    assert not fresh.status.running


def test_a_part_that_does_not_start_is_explained_and_nothing_is_left(fresh: Stage) -> None:
    fresh.data.mkdir()
    (fresh.data / "hub_config.py").write_text("raise ValueError('no such moon')")
    with pytest.raises(BackendFailure, match=r"(?s)The hub did not start\..*no such moon"):
        fresh.up()
    assert not fresh.status.supervised
    assert not [part for part in fresh.status.parts if identify(part.pid)]


def test_without_the_gateway_all_else_comes_up_and_it_is_said(fresh: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPLAT_SSH", "0")
    found = fresh.up()
    assert found.running
    assert {part.name for part in found.parts} == set(PARTS) - {"gateway", "tunnel"}
    assert "SSH is off" in found.ssh_absent


def test_a_taken_ssh_port_keeps_nothing_else_from_coming_up(fresh: Stage) -> None:
    fresh.data.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as holder:
        (fresh.data / "config.toml").write_text(f"[ssh]\nport = {holder.getsockname()[1]}\n")
        found = fresh.up()
        assert found.running
        assert {part.name for part in found.parts} == set(PARTS) - {"gateway", "tunnel"}
        assert "already in use" in found.ssh_absent
    down(fresh.data)
    again = fresh.up()
    assert (again.ssh_absent, {part.name for part in again.parts}) == ("", set(PARTS))


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match=r"cannot be used: Not a directory.*--data-dir"):
        up(tmp_path / "file" / "data")


def test_nothing_to_stop_is_no_error(tmp_path: Path) -> None:
    assert not down(tmp_path / "nowhere").running
    assert not (tmp_path / "nowhere").exists()
