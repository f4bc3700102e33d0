"""`mlplat image`: the catalogue in a terminal."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sdk_stage import TOKEN, Stage, image, instance, json_reply, page
from typer.testing import CliRunner, Result

from jupyter_mlplat.cli.main import app
from jupyter_mlplat.sdk import waiting, wire

ONE, OTHER = "m-abcdefghjkmn", "m-bcdefghjkmnp"
CHANGES = {
    "added": [{"name": "einops", "version": "0.8.1"}],
    "removed": [{"name": "six", "version": "1.17"}],
    "changed": [{"name": "pip", "old": "25.0", "new": "26.0"}],
    "same": 12,
}


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(waiting, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(wire, "RETRY_DELAYS", ())
    stage = Stage()
    monkeypatch.setenv("MLPLAT_URL", stage.url)
    monkeypatch.setenv("MLPLAT_TOKEN", TOKEN)
    stage.on("GET", "images", page([image(), image("mine", "v2", id=OTHER, outdated=True, base_name="python:3.12")]))
    yield stage
    stage.close()


def mlplat(*argv: str) -> Result:
    return CliRunner().invoke(app, list(argv))


def test_filters_are_passed_on(stage: Stage) -> None:
    argv = "image list --for gpu --service train --arch x86_64 --package numpy --outdated --visibility public"
    assert mlplat(*argv.split()).exit_code == 0
    asked = stage.requests("GET", "images")[-1].query
    assert {name: asked[name] for name in ("category", "service", "arch", "package", "outdated", "visibility")} == {
        "category": "GPU", "service": "TRAIN", "arch": "x86_64", "package": "numpy", "outdated": "true",
        "visibility": "PUBLIC",
    }  # fmt: skip
    assert "name" not in asked
    assert mlplat("image", "list", "--for", "TPU").exit_code == 2


def test_the_list_says_what_is_outdated_or_ends(stage: Stage) -> None:
    stage.on(
        "GET",
        "images",
        page([image(retires_on="2027-01-31", instead="python:3.13"), image(outdated=True, base_name="python:3.12")]),
    )
    text = mlplat("image", "list").stdout
    assert "to be retired on 2027-01-31; take python:3.13" in text
    assert "python:3.12 is another one now" in text


def test_an_image_is_shown_with_its_changes_its_chain_and_its_users(stage: Stage) -> None:
    stage.on(
        "GET",
        f"images/{ONE}",
        json_reply(
            image(
                notebook="train.ipynb",
                parent_name="base:1",
                packages=[{"name": "einops", "version": "0.8.1"}],
                changes=CHANGES,
                parents=[{"digest": "sha256:1", "name": name, "image_id": None} for name in ("base:1", "python:3.12")],
                layers=[{"digest": "sha256:" + "a" * 64, "size": 2048, "step": "mine:v1"}],
                used_by=[{"noun": "instance", "id": None, "name": None, "owner": "bob"}],
            )
        ),
    )
    text = mlplat("image", "show", "python").stdout
    for words in ("base:1 → python:3.12", "one of bob", "train.ipynb", "Since base:1", "+ einops 0.8.1", "- six 1.17",
                  "~ pip 25.0 → 26.0", "aaaaaaaaaaaa  mine:v1"):  # fmt: skip
        assert words in text


def test_two_images_are_compared(stage: Stage) -> None:
    compared = {
        "image": image(), "other": image("mine", "v2", id=OTHER), "packages": CHANGES,
        "shared_layers": [{"digest": "sha256:1", "size": 2048}], "own_layers": [],
        "other_layers": [{"digest": "sha256:2", "size": 1024}],
    }  # fmt: skip
    stage.on("GET", f"images/{ONE}/comparison", json_reply(compared))
    text = mlplat("image", "compare", "python:3.12", "mine:v2").stdout
    assert "+ einops 0.8.1" in text
    assert "2 KiB in both, 0 B only in python:3.12, 1 KiB only in mine:v2" in text
    assert stage.requests("GET", f"images/{ONE}/comparison")[0].query == {"other": OTHER}
    assert json.loads(mlplat("image", "compare", "python:3.12", "mine:v2", "--json").stdout)["packages"] == CHANGES


@pytest.mark.parametrize(
    ("more", "sent", "words"),
    [
        ([], {"visibility": "PUBLIC"}, "by everybody."),
        (["--private"], {"visibility": "PRIVATE"}, "by its owner alone."),
        (["--group", "a", "--group", "b"], {"visibility": "GROUP", "groups": ["a", "b"]}, "the members of a, b."),
    ],
)
def test_an_image_is_shared_and_taken_back(stage: Stage, more: list[str], sent: dict[str, Any], words: str) -> None:
    stage.on("PATCH", f"images/{OTHER}", json_reply(image("mine", "v2", id=OTHER, **sent)))
    done = mlplat("image", "share", "mine:v2", *more)
    assert (done.exit_code, words in done.stdout) == (0, True)
    assert json.loads(stage.requests("PATCH", f"images/{OTHER}")[0].body) == sent


def test_shared_and_private_at_once_is_refused(stage: Stage) -> None:
    assert "leave out --private or --group" in mlplat("image", "share", "mine:v2", "--private", "--group", "a").stderr
    assert stage.requests("PATCH", f"images/{OTHER}") == []


PREVIEW = {
    "parent_name": "python:3.12", "files": 12, "size": 3 * 1024**2, "removed": 0, "packages": CHANGES,
    "total_packages": 14, "folders": [{"path": "opt/mlplat/env/share/data", "size": 2 * 1024**2, "files": 3}],
    "left_out": [{"path": "opt/mlplat/env/.netrc", "reason": "may hold a secret", "size": 20}], "left_out_count": 3,
}  # fmt: skip


def test_a_save_can_be_looked_at_first(stage: Stage) -> None:
    stage.on("GET", "instances", page([instance()]))
    stage.on("POST", "instances/i-abcdefghjkmn/images/preview", json_reply(PREVIEW))
    text = mlplat("instance", "save-image", "digits", "--preview", "--exclude", "opt/a", "--exclude", "opt/b").stdout
    for words in ("3 MiB in 12 files would be added to python:3.12", "+ einops 0.8.1", "opt/mlplat/env/share/data",
                  ".netrc: may hold a secret", "and 2 more"):  # fmt: skip
        assert words in text
    asked = stage.requests("POST", "instances/i-abcdefghjkmn/images/preview")[0]
    assert json.loads(asked.body) == {"exclude": ["opt/a", "opt/b"]}
    assert mlplat("instance", "save-image", "digits").exit_code == 2


def test_a_save_is_given_up(stage: Stage) -> None:
    stage.on("POST", f"images/{OTHER}/cancel", json_reply(image("mine", "v2", id=OTHER, status="CREATING")))
    assert mlplat("image", "cancel", "mine:v2").stdout == "Saving mine:v2 is being given up.\n"


def test_an_image_is_shown_with_its_known_vulnerabilities(stage: Stage) -> None:
    known = {"package": "einops", "version": "0.8.1", "id": "GHSA-aaaa", "aliases": [], "summary": "Runs code",
             "severity": "HIGH", "fixed": ""}  # fmt: skip
    packages = [{"name": "einops", "version": "0.8.1"}, {"name": "six", "version": "1.17"}]
    stage.on("GET", f"images/{ONE}", json_reply(image(packages=packages, vulnerabilities=[known])))
    text = mlplat("image", "show", ONE).stdout
    assert "1 of 2 packages" in text
    assert "! einops 0.8.1: GHSA-aaaa, high, no fixed version known\n    Runs code" in text
    stage.on("GET", f"images/{ONE}", json_reply(image(packages=packages, vulnerabilities=[])))
    assert "no package that is known to be" in mlplat("image", "show", ONE).stdout


def test_advisories_are_loaded_from_a_file(stage: Stage, tmp_path: Path) -> None:
    status = {"count": 0, "loaded_at": None}
    stage.on("GET", "advisories", json_reply(status))
    assert "No advisories have been loaded" in mlplat("advisory", "status").stdout
    file = tmp_path / "one.json"
    affected = [{"package": {"ecosystem": "PyPI", "name": "Einops"}, "versions": ["0.8.1"]}]
    file.write_text(json.dumps({"id": "GHSA-aaaa", "affected": affected}))
    stage.on("PUT", "advisories", json_reply({"count": 1, "loaded_at": "2026-11-29T00:00:00Z"}))
    assert "1 advisory, loaded" in mlplat("advisory", "load", str(file)).stdout
    (sent,) = stage.requests("PUT", "advisories")
    assert json.loads(sent.body)["package"] == "einops"
    file.write_text("no document")
    refused = mlplat("advisory", "load", str(file))
    assert refused.exit_code == 1
    assert "one.json is no document in the OSV format" in refused.stderr


def test_an_image_of_another_registry_is_registered(stage: Stage) -> None:
    stage.on("POST", "images", json_reply(image("vision", "1.0", id=OTHER, source="registry.test/vision:1.0"), 202))
    argv = "image register registry.test/vision:1.0 --name vision --tag 1.0 --for gpu --for cpu --service train"
    assert "vision:1.0 is being registered" in mlplat(*argv.split()).stdout
    (sent,) = stage.requests("POST", "images")
    assert json.loads(sent.body) == {
        "name": "vision", "tag": "1.0", "source": "registry.test/vision:1.0", "description": "",
        "resource_categories": ["GPU", "CPU"], "services": ["TRAIN"],
    }  # fmt: skip
    assert mlplat("image", "register", "x", "--name", "vision", "--tag", "1", "--for", "TPU").exit_code == 2
