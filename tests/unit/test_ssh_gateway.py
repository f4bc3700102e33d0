"""How sshd is run, and what it needs, by value."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_mlplat.gateway import names, programs, sshd
from jupyter_mlplat.gateway.host_keys import new_pair, public_host_key
from jupyter_mlplat.gateway.programs import Programs, find_programs, missing, prepare_privilege_separation
from jupyter_mlplat.gateway.sshd import Gateway, gateway_command, instance_settings

ODD = ["plain", "two words", 'a"quote', "it's", "back\\slash", "100%", "$HOME"]


@pytest.fixture
def here() -> Programs:
    """The programs of this machine, which the tests need."""
    found = find_programs()
    assert found, missing()
    prepare_privilege_separation()
    return found


def settings_of(here: Programs, names_at: Path, command: list[str]) -> dict[str, str]:
    """What a real sshd makes of its settings."""
    names.write_names(names_at, ("me",), "/", "/bin/sh")
    environment = here.environment(names_at)
    done = subprocess.run([*command, "-T"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


@pytest.mark.parametrize("name", ODD)
def test_the_gateways_settings_hold_any_path(here: Programs, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    public_host_key(folder / "host_key")
    gateway = Gateway("127.0.0.1", 2222, folder / "host_key", "http://127.0.0.1:1/x", folder / "secret", folder)
    found = settings_of(here, tmp_path / "names", gateway_command(here, gateway))
    assert found["hostkey"] == str(folder / "host_key")
    assert found["listenaddress"] == "127.0.0.1:2222"
    helper = found["authorizedkeyscommand"]
    words = shlex.split(helper)
    assert words[:5] == ["/usr/bin/env", "-i", "bash", sshd.ERRANDS, "keys"]
    assert words[6].replace("%%", "%") == str(folder / "secret")
    assert words[-3:] == ["%u", "%f", "%t %k"]


def test_the_gateway_gives_nothing_but_the_forced_command(here: Programs, tmp_path: Path) -> None:
    public_host_key(tmp_path / "host_key")
    gateway = Gateway("127.0.0.1", 2222, tmp_path / "host_key", "http://127.0.0.1:1/x", tmp_path / "secret", tmp_path)
    found = settings_of(here, tmp_path, gateway_command(here, gateway))
    closed = ("disableforwarding", "permittty", "permittunnel", "passwordauthentication", "permituserrc")
    assert {name: found[name] for name in closed} == dict.fromkeys(closed, "no") | {"disableforwarding": "yes"}
    assert found["authenticationmethods"] == "publickey"
    assert found["permitrootlogin"] == "forced-commands-only"
    assert found["authorizedkeysfile"] == "none"


@pytest.mark.parametrize("name", ODD)
def test_an_instances_settings_hold_any_path(here: Programs, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    public_host_key(folder / "host_key")
    (folder / "sshd_config").write_text(instance_settings(folder))
    found = settings_of(here, tmp_path / "names", [here.sshd, "-f", str(folder / "sshd_config")])
    assert found["hostkey"] == str(folder / "host_key")
    assert found["authorizedkeysfile"].replace("%%", "%") == str(folder / "authorized_keys")
    assert found["passwordauthentication"] == "no"


@pytest.mark.parametrize("name", ODD)
def test_the_login_shell_enters_the_environment(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "environment").write_text(sshd.exports({"ODD": f"{name}\nline", "no-name": "x"}))
    shell = folder / "shell"
    shell.write_text(sshd.login_shell(folder, "/bin/bash", Path("/none")))
    shell.chmod(0o700)
    done = subprocess.run([shell, "-c", 'printf "%s" "$ODD"'], capture_output=True, text=True, check=True)
    assert done.stdout == f"{name}\nline"


def test_every_name_is_the_one_who_runs_it() -> None:
    lines = names.passwd(["one.alice", "bad:name", "two\nlines", "", "one.alice"], "/home", "/bin/sh").splitlines()
    assert lines[0] == f"one.alice:x:{os.getuid()}:{os.getgid()}::/home:/bin/sh"
    assert [line for line in lines if not line.startswith("sshd:")] == lines[:1]
    assert "tty" not in names.group()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "PLACES", ())
    monkeypatch.setattr(programs, "LIBRARIES", ())
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_programs() is None
    assert "apt install openssh-server libnss-wrapper" in missing()


def test_a_pair_is_one_of_openssh(tmp_path: Path) -> None:
    private, public = new_pair()
    path = tmp_path / "key"
    path.write_text(private)
    path.chmod(0o600)
    shown = subprocess.run(["ssh-keygen", "-y", "-f", str(path)], check=True, capture_output=True, text=True).stdout
    assert shown.split()[:2] == public.split()


KNOWN = """
import pwd, sys
for name in sys.stdin:
    try:
        print(pwd.getpwnam(name.strip()).pw_name, flush=True)
    except KeyError:
        print("unknown", flush=True)
"""


def test_a_program_that_runs_knows_names_that_come_in_the_same_moment(here: Programs, tmp_path: Path) -> None:
    names.write_names(tmp_path, ["one.alice"], "/", "/bin/sh")
    environment = {**os.environ, **here.environment(tmp_path)}
    asking = subprocess.Popen(
        [sys.executable, "-c", KNOWN], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert asking.stdin and asking.stdout
    for name in ("one.alice", "two.alice", "three.alice"):
        names.write_names(tmp_path, ["one.alice", name], "/", "/bin/sh")
        print(name, file=asking.stdin, flush=True)
        assert asking.stdout.readline() == f"{name}\n"
    asking.communicate()
