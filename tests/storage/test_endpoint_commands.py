"""`mlplat storage endpoint …` and `mlplat storage …` at a MinIO of one's own, by the commands themselves."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from platform_over_http import PREFIX, platform
from typer.testing import CliRunner, Result

from jupyter_mlplat.cli.main import app
from jupyter_mlplat.testing.minio import MinioServer


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with platform(tmp_path_factory.mktemp("platform")) as address:
        yield f"{address}{PREFIX}"


@pytest.fixture
def signed_in(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MLPLAT_URL", address)
    monkeypatch.setenv("MLPLAT_TOKEN", "alice-token")


def mlplat(*argv: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, ["storage", *argv], input=stdin)


def added(minio: MinioServer, name: str, *options: str, secret: str = "") -> Result:
    keys = ("--access-key", minio.access_key, "--secret-stdin")
    return mlplat("endpoint", "add", name, minio.address, *keys, *options, stdin=f"{secret or minio.secret_key}\n")


def test_an_endpoint_is_added_used_and_removed(signed_in: None, minio: MinioServer, tmp_path: Path) -> None:
    made = added(minio, "mine", "--temporary-keys")
    assert made.exit_code == 0, made.output
    assert minio.secret_key not in made.output
    bucket = f"told-{uuid4().hex}"
    assert mlplat("mb", bucket, "--endpoint", "mine").exit_code == 0
    (tmp_path / "a.txt").write_text("far")
    assert mlplat("cp", str(tmp_path / "a.txt"), f"obs://{bucket}/in/").exit_code == 0
    assert "in/" in mlplat("ls", f"obs://{bucket}/").output
    assert mlplat("cp", f"obs://{bucket}/in/a.txt", str(tmp_path / "b.txt")).exit_code == 0
    assert (tmp_path / "b.txt").read_text() == "far"
    link = mlplat("presign", f"obs://{bucket}/in/a.txt").stdout.split()[0]
    assert httpx.get(link).text == "far"
    assert mlplat("rm", f"obs://{bucket}/in/a.txt", "--yes").exit_code == 0
    shown = mlplat("endpoint", "show", "mine", "--json")
    assert bucket in json.loads(shown.stdout)["buckets"]
    assert minio.secret_key not in shown.output
    assert mlplat("endpoint", "remove", "mine", "--yes").exit_code == 0
    assert "mine" not in mlplat("endpoint", "list").stdout


def test_what_is_wrong_is_said_with_exit_status_1(signed_in: None, minio: MinioServer) -> None:
    made = added(minio, "wrong", secret="not-it")  # noqa: S106
    assert (made.exit_code, "does not belong to the access key" in made.output) == (1, True)
    assert mlplat("endpoint", "test", "wrong").exit_code == 1
    keys = ("--access-key", minio.access_key, "--secret-stdin")
    turned = mlplat("endpoint", "rotate", "wrong", *keys, stdin=f"{minio.secret_key}\n")
    assert turned.exit_code == 0, turned.output
    assert mlplat("endpoint", "test", "wrong").exit_code == 0
    assert mlplat("endpoint", "remove", "wrong", "--yes").exit_code == 0


def test_without_a_terminal_the_secret_is_not_asked_for(signed_in: None, minio: MinioServer) -> None:
    refused = mlplat("endpoint", "add", "silent", minio.address, "--access-key", "me")
    assert refused.exit_code != 0
    assert "--secret-stdin" in refused.output


def test_a_folder_is_kept_like_another(signed_in: None, minio: MinioServer, tmp_path: Path) -> None:
    added(minio, "synced", "--temporary-keys")
    place = f"obs://kept-{uuid4().hex}"
    mlplat("mb", place, "--endpoint", "synced")
    here = tmp_path / "data"
    (here / "deep").mkdir(parents=True)
    for name in ("same", "grown", "removed", "deep/large"):
        (here / name).write_bytes(b"1" * (17 << 20) if name == "deep/large" else b"1")

    def sync() -> str:
        return mlplat("sync", str(here), f"{place}/copy", "--delete").stdout

    assert sync() == "Synced 4 files (17 MiB).\n"
    (here / "grown").write_bytes(b"12")
    (here / "removed").unlink()
    assert [sync(), sync()] == ["Synced 2 files (2 B).\n", "Synced 0 files (0 B).\n"]
    assert not list((tmp_path / "state/mlplat/transfers").iterdir())
    mlplat("cp", "-r", f"{place}/copy", str(tmp_path / "back"))
    found = {path.name: path.stat().st_size for path in (tmp_path / "back").rglob("*") if path.is_file()}
    assert found == {"same": 1, "grown": 2, "large": 17 << 20}
    assert mlplat("cp", str(here), f"{place}/copy").exit_code == 1
    mlplat("endpoint", "remove", "synced", "--yes")
