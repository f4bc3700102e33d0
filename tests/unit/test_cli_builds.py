"""`mlplat image build` and `mlplat image logs`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sdk_stage import TOKEN, Asked, Reply, Stage, image, json_reply, page
from typer.testing import CliRunner, Result

from jupyter_mlplat.cli.main import app
from jupyter_mlplat.jobs.bundle import pack, survey
from jupyter_mlplat.sdk import logs, wire

ONE = "m-abcdefghjkmn"
ARGV = ["--name", "vision", "--tag", "v1"]
LOG = b"STEP 1/1: FROM python:3.11\n"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(logs, "RECONNECT_PAUSE", 0.0)
    monkeypatch.setattr(wire, "RETRY_DELAYS", ())
    stage = Stage()
    monkeypatch.setenv("MLPLAT_URL", stage.url)
    monkeypatch.setenv("MLPLAT_TOKEN", TOKEN)
    stage.on("POST", "images/builds", json_reply(image("vision", "v1", id=ONE, built=True, status="INIT"), 202))
    stage.on("GET", f"images/{ONE}/log", reading_log)
    yield stage
    stage.close()


def reading_log(asked: Asked) -> Reply:
    return Reply(pieces=[rest] if (rest := LOG[int(asked.query["offset"]) :]) else [])


def ends(stage: Stage, **facts: Any) -> None:
    stage.on("GET", f"images/{ONE}", json_reply(image("vision", "v1", id=ONE, built=True, packages=[], **facts)))


@pytest.fixture
def folder(stage: Stage, tmp_path: Path) -> Path:
    """A folder that the platform has already."""
    (tmp_path / "Containerfile").write_text("FROM python:3.11\n")
    (tmp_path / "data.csv").write_text("1,2")
    digest = pack(survey(tmp_path, "Containerfile"), tmp_path.parent / "packed").digest
    stage.on("GET", f"bundles/{digest}", json_reply({"digest": digest, "size": 1}))
    return tmp_path


def mlplat(*argv: str) -> Result:
    return CliRunner().invoke(app, list(argv))


def test_a_folder_is_sent_with_its_containerfile(stage: Stage, folder: Path) -> None:
    said = mlplat("image", "build", str(folder), *ARGV, "--for", "gpu", "--description", "words")
    assert said.exit_code == 0, said.output
    assert "vision:v1 is being built. Follow it: mlplat image logs -f vision:v1" in said.stdout
    (sent,) = stage.requests("POST", "images/builds")
    body = json.loads(sent.body)
    assert body["containerfile"] == "FROM python:3.11\n" and body["bundle"].startswith("sha256:")
    assert (body["description"], body["resource_categories"]) == ("words", ["GPU"])


def test_it_is_waited_for_with_its_log(stage: Stage, folder: Path) -> None:
    ends(stage)
    said = mlplat("image", "build", str(folder), *ARGV, "--wait")
    assert said.exit_code == 0 and said.stdout == LOG.decode()
    assert "vision:v1 is ready" in said.stderr and "--image vision:v1" in said.stderr


def test_one_that_fails_says_why(stage: Stage, folder: Path) -> None:
    ends(stage, status="CREATE_FAILED", status_message="The build failed at STEP 1/1.")
    said = mlplat("image", "build", str(folder), *ARGV, "--wait")
    assert said.exit_code == 1 and "vision:v1 was not built: The build failed at STEP 1/1." in said.stderr
    assert (
        json.loads(mlplat("image", "build", str(folder), *ARGV, "--wait", "--json").stdout)["status"] == "CREATE_FAILED"
    )


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["nowhere"], "There is no folder nowhere"),
        ([".", "--file", "Other"], "There is no Other in the folder"),
        (["."], "There is no Containerfile and no Dockerfile in the folder"),
    ],
)
def test_without_a_containerfile_nothing_is_sent(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = mlplat("image", "build", *argv, *ARGV)
    assert said.exit_code == 1 and words in said.stderr
    assert not stage.asked


def test_another_containerfile_is_taken(stage: Stage, folder: Path) -> None:
    (folder / "Dockerfile").write_text("FROM pytorch:2.13\n")
    (folder / "Containerfile").unlink()
    digest = pack(survey(folder, "Dockerfile"), folder.parent / "packed").digest
    stage.on("GET", f"bundles/{digest}", json_reply({"digest": digest, "size": 1}))
    for more in ([], ["--file", "Dockerfile"]):
        assert mlplat("image", "build", str(folder), *ARGV, *more).exit_code == 0
        assert stage.requests("POST", "images/builds")[-1].json["containerfile"] == "FROM pytorch:2.13\n"


def test_the_log_is_printed(stage: Stage) -> None:
    ends(stage)
    stage.on("GET", "images", page([image("vision", "v1", id=ONE, built=True)]))
    assert mlplat("image", "logs", "vision:v1").stdout == LOG.decode()
    assert mlplat("image", "logs", "-f", "vision").stdout == LOG.decode()
    assert json.loads(mlplat("image", "logs", "vision", "--json").stdout) == {"image_id": ONE, "log": LOG.decode()}
    assert json.loads(mlplat("image", "logs", "-f", "vision", "--json").stdout) == {"text": LOG.decode()}


def test_a_build_is_given_up(stage: Stage) -> None:
    stage.on("GET", "images", page([image("vision", "v1", id=ONE, built=True, status="CREATING")]))
    stage.on("POST", f"images/{ONE}/cancel", json_reply(image("vision", "v1", id=ONE, built=True)))
    assert "Building vision:v1 is being given up" in mlplat("image", "cancel", "vision:v1").stdout
