"""`mlplat ssh`: keys, and the files of the ssh client."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sdk_stage import TOKEN, Stage, instance, json_reply, page
from ssh_stage import HOST_KEY
from typer.testing import CliRunner, Result

from jupyter_mlplat.cli.main import app
from jupyter_mlplat.sdk import wire
from jupyter_mlplat.sdk.ssh_config import with_include, without_include

MOMENT = "2026-11-01T10:00:00+00:00"
KEY = {"id": "k-1", "owner": "alice", "type": "ssh-ed25519", "bits": 256, "comment": "laptop",
       "fingerprint": "SHA256:abc", "created_at": MOMENT, "last_used_at": None, "expires_at": None,
       "expired": False}  # fmt: skip
GATEWAY = {"host": "127.0.0.1", "port": 2222, "host_key": HOST_KEY, "fingerprint": "SHA256:xyz", "absent": ""}
HOST = {"instance_id": "i-abcdefghjkmn", "instance_name": "digits", "login": "digits.alice", "user": "alice",
        "host_key": HOST_KEY, "folder": "/work", "addresses": []}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "my config"))
    return tmp_path


@pytest.fixture
def stage(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(wire, "RETRY_DELAYS", ())
    stage = Stage()
    monkeypatch.setenv("MLPLAT_URL", stage.url)
    monkeypatch.setenv("MLPLAT_TOKEN", TOKEN)
    stage.on("GET", "ssh/keys", json_reply([KEY]))
    stage.on("GET", "ssh/gateway", json_reply(GATEWAY))
    stage.on("GET", "ssh/hosts", json_reply([HOST]))
    stage.on("GET", "instances", page([instance()]))
    yield stage
    stage.close()


def mlplat(*argv: str, input: str | None = None) -> Result:
    return CliRunner().invoke(app, list(argv), input=input)


def test_ones_own_public_key_is_added(stage: Stage, home: Path) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id_ed25519.pub").write_text(f"{HOST_KEY} laptop\n")
    stage.on("POST", "ssh/keys", json_reply(KEY, 201))
    done = mlplat("ssh", "key", "add", "--days", "30")
    assert done.exit_code == 0, done.output
    assert "laptop (SHA256:abc) opens your instances" in done.stdout


def test_without_a_key_it_is_said_how_to_get_one(stage: Stage) -> None:
    done = mlplat("ssh", "key", "add")
    assert done.exit_code == 1
    assert "mlplat ssh key make" in done.stderr


def test_a_file_that_is_not_there_is_a_mistake(stage: Stage) -> None:
    done = mlplat("ssh", "key", "add", "nothing.pub")
    assert done.exit_code == 1
    assert "nothing.pub" in done.stderr


def test_a_pair_that_is_made_lies_where_only_its_owner_reads_it(stage: Stage, home: Path) -> None:
    stage.on("POST", "ssh/pairs", json_reply({"key": KEY, "private_key": "SECRET\n"}, 201))
    assert mlplat("ssh", "key", "make").exit_code == 0
    path = home / "my config" / "mlplat" / "ssh" / "id_ed25519"
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("SECRET\n", 0o600)
    again = mlplat("ssh", "key", "make")
    assert again.exit_code == 1
    assert "made already" in again.stderr
    assert mlplat("ssh", "key", "make", "--show").stdout == "SECRET\n"


def test_keys_are_listed_and_removed_by_what_they_are_called(stage: Stage) -> None:
    assert "laptop" in mlplat("ssh", "key", "list").stdout
    stage.on("DELETE", "ssh/keys/k-1", json_reply(None, 204))
    assert mlplat("ssh", "key", "remove", "laptop").exit_code == 0
    assert "no SSH key 'phone'" in mlplat("ssh", "key", "remove", "phone").stderr


def resolved(config: Path, host: str) -> dict[str, str]:
    """What a real ssh makes of the settings."""
    done = subprocess.run(["ssh", "-F", config, "-G", host], check=True, capture_output=True, text=True)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_settings_are_what_ssh_understands(stage: Stage, home: Path) -> None:
    users = home / ".ssh" / "config"
    done = mlplat("ssh", "config", "--file", str(users))
    assert done.exit_code == 0, done.output
    assert "ssh digits.mlplat" in done.stdout
    found = resolved(users, "digits.mlplat")
    ours = home / "my config" / "mlplat" / "ssh"
    assert (found["user"], found["hostkeyalias"]) == ("alice", "i-abcdefghjkmn")
    assert found["userknownhostsfile"] == str(ours / "known_hosts") or str(ours) in found["userknownhostsfile"]
    assert found["proxycommand"] == f"ssh -F '{ours}/config' -T -l i-abcdefghjkmn gateway.mlplat"
    assert found["stricthostkeychecking"] == "true"
    gateway = resolved(users, "gateway.mlplat")
    assert (gateway["hostname"], gateway["port"], gateway["controlmaster"]) == ("127.0.0.1", "2222", "false")
    assert (ours / "known_hosts").read_text() == f"[127.0.0.1]:2222 {HOST_KEY}\ni-abcdefghjkmn {HOST_KEY}\n"


def test_settings_are_written_and_removed_without_touching_the_rest(stage: Stage, home: Path) -> None:
    users = home / ".ssh" / "config"
    users.parent.mkdir()
    before = "# mine\nHost work\n    User me\n"
    users.write_text(before)
    users.chmod(0o640)
    for _ in range(2):
        mlplat("ssh", "config")
    assert users.read_text().count("Include") == 1
    assert users.read_text().endswith(before)
    assert users.stat().st_mode & 0o777 == 0o640
    assert resolved(users, "work")["user"] == "me"
    assert mlplat("ssh", "config", "--remove").exit_code == 0
    assert users.read_text() == before
    assert "Nothing of mlplat" in mlplat("ssh", "config", "--remove").stdout


def test_a_link_to_the_settings_stays_a_link(stage: Stage, home: Path) -> None:
    (home / "dotfiles").mkdir()
    (home / ".ssh").mkdir()
    (home / ".ssh" / "config").symlink_to(home / "dotfiles" / "ssh")
    mlplat("ssh", "config")
    assert (home / ".ssh" / "config").is_symlink()
    assert "Include" in (home / "dotfiles" / "ssh").read_text()


def test_an_include_comes_and_goes() -> None:
    text = "Host a\n"
    assert without_include(with_include(text, Path("/x"))) == text
    assert with_include(with_include(text, Path("/x")), Path("/y")).count("Include") == 1


def test_where_there_is_no_gateway_it_is_said(stage: Stage) -> None:
    stage.on("GET", "ssh/gateway", json_reply(GATEWAY | {"absent": "SSH is off: install it."}))
    done = mlplat("ssh", "config")
    assert done.exit_code == 1
    assert "SSH is off: install it." in done.stderr


def test_a_name_is_enough_to_connect(stage: Stage, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _path, argv: became.append(argv))
    mlplat("ssh", "digits")
    mlplat("ssh", "digits", "--", "echo", "two words")
    ours = str(home / "my config" / "mlplat" / "ssh" / "config")
    assert [words[1:] for words in became] == [
        ["-F", ours, "digits.mlplat"],
        ["-F", ours, "digits.mlplat", "echo 'two words'"],
    ]


def test_keys_are_chosen_for_an_instance(stage: Stage) -> None:
    path = f"instances/{HOST['instance_id']}/ssh"
    stage.on("GET", path, json_reply(HOST | {"keys": []}))
    assert "digits is opened by all your keys." in mlplat("ssh", "keys", "digits").stdout
    stage.on("PUT", f"{path}/keys", json_reply(HOST | {"keys": ["k-1"]}))
    assert "digits is opened by laptop." in mlplat("ssh", "keys", "digits", "--only", "laptop").stdout
    stage.on("PUT", f"{path}/keys", json_reply(HOST | {"keys": ["k-gone"]}))
    assert "digits is opened by k-gone (removed)." in mlplat("ssh", "keys", "digits", "--only", "k-1").stdout
    assert mlplat("ssh", "keys", "digits", "--only", "k-1", "--all").exit_code == 1
    assert mlplat("ssh", "keys", "digits", "--only", "nobodys").exit_code == 1


def test_addresses_are_allowed(stage: Stage) -> None:
    stage.on("PUT", f"instances/{HOST['instance_id']}/ssh/addresses", json_reply(HOST | {"addresses": ["10.0.0.0/8"]}))
    assert "digits can be reached from 10.0.0.0/8" in mlplat("ssh", "allow", "digits", "10.0.0.0/8").stdout


def test_sessions_are_listed_and_cut(stage: Stage) -> None:
    path = f"instances/{HOST['instance_id']}/ssh/sessions"
    session = {"id": "7-8", "instance_id": HOST["instance_id"], "key_id": "k-1", "key_comment": "laptop",
               "address": "10.0.0.9", "since": MOMENT}  # fmt: skip
    stage.on("GET", path, json_reply([session]))
    stage.on("DELETE", f"{path}/7-8", json_reply(None, 204))
    assert "10.0.0.9" in mlplat("ssh", "sessions", "digits").stdout
    assert "is ended" in mlplat("ssh", "cut", "digits", "7-8").stdout
