"""The command line on the machine's own platform, which need not run."""

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from jupyter_mlplat.cli.main import app


def mlplat(*argv: str) -> Result:
    return CliRunner().invoke(app, list(argv))


def test_users_of_the_embedded_platform(tmp_path: Path) -> None:
    where = ["--data-dir", str(tmp_path)]
    assert "mlplat up" in mlplat("user", "add", "bob", *where).stderr
    (tmp_path / "secrets").mkdir()
    profile = {"url": "http://127.0.0.1:8000/services/mlplat", "token": "t", "user": "alice"}
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    added = mlplat("user", "add", "bob", *where)
    assert added.stdout.startswith("http://127.0.0.1:8000/hub/login?token=")
    assert mlplat("user", "add", "bob", *where).exit_code == 1
    assert json.loads(mlplat("user", "list", "--json", *where).stdout) == ["bob"]
    assert mlplat("user", "remove", "bob", *where).exit_code == 1
    assert mlplat("user", "remove", "bob", "--yes", *where).exit_code == 0
    assert json.loads(mlplat("user", "list", "--json", *where).stdout) == []


def test_a_platform_that_never_ran_is_down(tmp_path: Path) -> None:
    result = mlplat("status", "--json", "--data-dir", str(tmp_path / "none"))
    assert result.exit_code == 1
    assert json.loads(result.stdout)["running"] is False


def test_stopping_where_nothing_ran_names_the_folder(tmp_path: Path) -> None:
    result = mlplat("down", "--data-dir", str(tmp_path / "none"))
    assert result.exit_code == 0
    assert result.stdout.startswith(f"No platform ran on {tmp_path / 'none'}.")
