"""What the program of a server does for itself in a pod."""

import socket
from pathlib import Path

import pytest

from jupyter_mlplat.embedded.ports import free_port
from jupyter_mlplat.hub import server
from jupyter_mlplat.hub.start import LAB_FOLDERS, PORT_VARIABLE
from jupyter_mlplat.sdk.profile import load_profile
from jupyter_mlplat.server_extension.environment import leave_token


def test_it_listens_on_the_port_that_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv(PORT_VARIABLE, str(port))
    with server._listener() as listener, socket.create_connection(("127.0.0.1", port)):
        assert listener.getsockname()[1] == port


def test_its_folders_are_made_and_what_is_private_is_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = tmp_path / "private"
    monkeypatch.setenv("MLPLAT_PRIVATE", str(private))
    for name, folder in LAB_FOLDERS.items():
        monkeypatch.setenv(name, str(tmp_path / "lab" / folder))
    server._prepare_folders()
    assert private.stat().st_mode & 0o777 == 0o700
    assert sorted(found.name for found in (tmp_path / "lab").iterdir()) == sorted(LAB_FOLDERS.values())


def test_browsers_stay_logged_in_by_a_secret_that_outlives_the_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, folder in LAB_FOLDERS.items():
        monkeypatch.setenv(name, str(tmp_path / "claim" / folder))
    monkeypatch.setenv("MLPLAT_PRIVATE", str(tmp_path / "private"))
    assert Path(server.instance_config().ServerApp.cookie_secret_file).is_relative_to(tmp_path / "claim")


def test_the_token_lies_where_the_description_of_the_instance_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {
        "MLPLAT_RUNTIME": "/run/mlplat/runtime.json",
        "MLPLAT_PRIVATE": str(tmp_path),
        "JUPYTERHUB_API_TOKEN": "secret",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    leave_token()
    inside = {"MLPLAT_API": "http://platform/v1", "MLPLAT_INSTANCE_ID": "i-1", **variables}
    del inside["JUPYTERHUB_API_TOKEN"]
    assert load_profile(inside).token == "secret"  # noqa: S105
