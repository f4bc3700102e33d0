"""Previewing and submitting what lies in the work folder."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import httpx
import pytest
import zstandard
from server_extension_stage import Platform, Server

from jupyter_mlplat.server_extension.submit import job_name

pytest_plugins = ["server_extension_stage"]


def notebook(*sources: str, tags: tuple[str, ...] = (), kernel: str = "python3", **changes: Any) -> str:
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "source": source, "metadata": {"tags": list(tags) if at == 0 else []},
         "outputs": [], "execution_count": None}
        for at, source in enumerate(sources)
    ]  # fmt: skip
    metadata = {"kernelspec": {"name": kernel, "language": "python", "display_name": kernel}}
    return json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": cells} | changes)


@pytest.fixture
def folder(server: Server, request: pytest.FixtureRequest) -> Path:
    folder = server.work / str(request.node.name).partition("[")[0]
    folder.mkdir(exist_ok=True)
    return folder


def get_preview(server: Server, path: str) -> httpx.Response:
    return httpx.get(f"{server.url}/mlplat/submit/preview", params={"path": path}, headers=server.headers, timeout=60)


def submit(server: Server, **body: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/mlplat/submit", json=body, headers=server.headers, timeout=60)


def test_a_preview_says_what_goes_what_stays_and_what_can_be_set(server: Server, folder: Path) -> None:
    (folder / "train digits.ipynb").write_text(
        notebook("epochs = 3  # passes over the data\nrate: float = 1e999", "print(epochs)", tags=("parameters",))
    )
    (folder / "model.py").write_text("x = 1\n")
    (folder / "__pycache__").mkdir()
    answer = get_preview(server, f"{folder.name}/train digits.ipynb")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["entry"], body["folder"], body["kind"]) == ("train digits.ipynb", folder.name, "notebook")
    assert (body["name"], body["problems"]) == ("train-digits", [])
    assert [file["path"] for file in body["files"]] == ["model.py", "train digits.ipynb"]
    assert body["total_bytes"] == sum(file["size"] for file in body["files"])
    assert [(row["path"], row["reason"]) for row in body["excluded"]] == [("__pycache__/", "cache")]
    assert body["parameters"] == [
        {"name": "epochs", "type": "int", "default": 3, "help": "passes over the data"},
        {"name": "rate", "type": "float", "default": None, "help": ""},
    ]


@pytest.mark.parametrize(("content", "words"), [
    ("", "not JSON"),
    ("[1, 2]", "names no format"),
    ("\x00\x01", "not JSON"),
    (notebook("1", nbformat=3), "format 3"),
    (notebook(), "no code to run"),
    (notebook("   ", ""), "no code to run"),
    (notebook("1", kernel="julia-1.9"), "julia-1.9"),
    (notebook("1", cells="none"), "damaged"),
    (notebook("x = = 1", tags=("parameters",)), "tagged `parameters`"),
])  # fmt: skip
def test_an_odd_notebook_is_explained_and_refused(
    platform: Platform, server: Server, folder: Path, content: str, words: str
) -> None:
    (folder / "odd.ipynb").write_text(content)
    body = get_preview(server, f"{folder.name}/odd.ipynb").json()
    assert any(words in problem for problem in body["problems"])
    platform.bundles.clear()
    refused = submit(server, path=f"{folder.name}/odd.ipynb")
    assert (refused.status_code, refused.json()["error_code"]) == (422, "MLPLAT.INVALID_INPUT")
    assert words in refused.json()["error_msg"]
    assert platform.bundles == {}


def test_a_folder_over_the_limits_is_a_problem_of_the_preview(server: Server, folder: Path) -> None:
    (folder / "run.sh").write_text("true\n")
    for number in range(1001):
        (folder / f"{number}.txt").touch()
    answer = get_preview(server, f"{folder.name}/run.sh")
    assert answer.status_code == 200
    assert any("1,002 files" in problem for problem in answer.json()["problems"])
    assert submit(server, path=f"{folder.name}/run.sh").status_code == 413


@pytest.mark.parametrize(("path", "status"), [
    ("../runtime.json", 422), ("nothing.ipynb", 404), ("", 422), ("x/../../config.json", 422),
])  # fmt: skip
def test_only_files_of_the_work_folder_can_be_submitted(server: Server, path: str, status: int) -> None:
    for answer in (get_preview(server, path), submit(server, path=path)):
        assert answer.status_code == status
        assert answer.json()["error_msg"]


def test_a_link_out_of_the_work_folder_is_no_way_out(server: Server, folder: Path) -> None:
    (folder / "out.py").symlink_to(server.runtime_file)
    assert get_preview(server, f"{folder.name}/out.py").status_code == 422
    assert get_preview(server, f"{folder.name}/data.csv").status_code == 404


def test_a_submission_packs_uploads_once_and_submits(platform: Platform, server: Server, folder: Path) -> None:
    (folder / "train.py").write_text("print('hi')\n")
    (folder / "lib").mkdir()
    (folder / "lib" / "net.py").write_text("y = 2\n")
    platform.bundles.clear()
    platform.seen.clear()
    for name in (None, "second"):
        answer = submit(server, path=f"{folder.name}/train.py", name=name, environment={"A": "b"}, retries=2)
        assert answer.status_code == 202
        assert answer.json()["id"] == "j-1"
    puts = [note for note in platform.seen if note["method"] == "PUT" and "bundles" in note["path"]]
    assert len(puts) == 1
    first, second = platform.jobs[-2:]
    assert (first["name"], second["name"]) == ("train", "second")
    assert first | {"name": ""} == second | {"name": ""}
    assert (first["entry"], first["image_id"], first["flavor"], first["retries"]) == ("train.py", "m-1", "cpu-2", 2)
    ((digest, packed),) = platform.bundles.items()
    assert digest == first["bundle"]
    unpacked = zstandard.ZstdDecompressor().stream_reader(packed).read()
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        assert tar.getnames() == ["lib/net.py", "train.py"]
    assert sorted(entry.name for entry in server.folder.glob("packed-*")) == []


def test_the_platforms_refusal_comes_through(server: Server, folder: Path) -> None:
    (folder / "train.py").write_text("1\n")
    answer = submit(server, path=f"{folder.name}/train.py", name="no-quota")
    assert (answer.status_code, answer.json()["error_msg"]) == (429, "You have 5 jobs.")


@pytest.mark.parametrize(("fields", "words"), [
    ({"name": "no spaces"}, "name"),
    ({"nodes": 0}, "nodes"),
    ({"unheard_of": 1}, "unheard_of"),
    ({"bundle": "sha256:" + "1" * 64, "parameters": {"epohcs": 3}}, "epohcs"),
    ({"parameters": {"epochs": "three"}}, "epochs"),
])  # fmt: skip
def test_a_wrong_field_is_named(server: Server, folder: Path, fields: dict[str, Any], words: str) -> None:
    (folder / "a.ipynb").write_text(notebook("epochs = 3", tags=("parameters",)))
    answer = submit(server, path=f"{folder.name}/a.ipynb", **fields)
    assert answer.status_code == 422
    assert words in answer.json()["error_msg"]


@pytest.mark.parametrize(("file", "name"), [
    ("train.ipynb", "train"), ("My model (v2).ipynb", "My-model-v2"), ("训练.ipynb", "训练"), ("_.py", "job"),
    ("x" * 80 + ".sh", "x" * 64),
])  # fmt: skip
def test_a_job_is_named_after_its_file(file: str, name: str) -> None:
    assert job_name(Path(file)) == name
