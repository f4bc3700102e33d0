"""What a runner writes down: output as on a terminal, metrics, files that are replaced."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mlplat.runner.log import message_in_words, plain
from jupyter_mlplat.runner.state import replacing
from jupyter_mlplat.runner.streams import append_stream, overwritten
from jupyter_mlplat.runner.variables import IN_ENVIRONMENT

LINES = st.text(st.sampled_from("ab\r\n"), max_size=20)


@given(st.lists(LINES, max_size=6))
def test_overwritten_lines_look_like_on_a_terminal_however_they_are_cut(pieces: list[str]) -> None:
    text = ""
    for piece in pieces:
        text = overwritten(text, piece)
    whole = overwritten("", "".join(pieces))
    assert text.replace("\r", "") == whole.replace("\r", "")
    assert all(line.find("\r") in (-1, len(line) - 1) for line in text.split("\n"))


def test_a_progress_bar_keeps_its_last_state() -> None:
    assert overwritten(overwritten("a\n", "\r 10%"), "\r 20%") == "a\n 20%"
    assert overwritten("10%\r", "20%\r\n") == "20%\n"


def test_streams_of_a_cell_are_joined_and_cut() -> None:
    outputs: list[Any] = []
    for name, text in [("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d")]:
        append_stream(outputs, name, text)
    assert [(output["name"], output["text"]) for output in outputs] == [
        ("stdout", "ab"),
        ("stderr", "c"),
        ("stdout", "d"),
    ]
    for _ in range(12):
        append_stream(outputs, "stdout", "x" * 500_000)
    assert len(outputs[-1]["text"]) < 5_600_000
    assert outputs[-1]["text"].endswith("the log has all of it.\n")


def test_images_and_html_are_noted_by_a_word() -> None:
    def words(**data: str) -> str | None:
        content = {"data": {name.replace("_", "/"): text for name, text in data.items()}}
        return message_in_words({"msg_type": "display_data", "content": content})

    assert words(image_png="…", text_plain="<Figure size 640x480>") == "[image/png]\n"
    assert words(text_html="<table>", text_plain="   a\n0  1") == "[html]    a\n0  1\n"
    assert plain("\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07") == "red link"


def test_a_replacement_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "f") as partial:
        partial.write_text("half")
        raise RuntimeError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("f", "old")]


def test_processes_may_log_at_once_and_only_numbers(tmp_path: Path) -> None:
    target = tmp_path / "metrics.jsonl"
    source = "import mlplat\nfor n in range(300): mlplat.log(step=n, loss=n / 7, **{'x' * 200: n})"
    environ = {**os.environ, "MLPLAT_METRICS": str(target), "PYTHONPATH": str(IN_ENVIRONMENT)}
    quiet = {"stdout": subprocess.DEVNULL, "env": environ}
    for process in [subprocess.Popen([sys.executable, "-c", source], **quiet) for _ in range(4)]:  # type: ignore[call-overload]
        assert process.wait() == 0
    points = [json.loads(line) for line in target.read_text().splitlines()]
    assert sorted(point["step"] for point in points) == sorted([*range(300)] * 4)
    for value in ("'text'", "[1, 2]", "None"):
        command = [sys.executable, "-c", f"import mlplat\nmlplat.log(loss={value})"]
        refused = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert "TypeError: mlplat.log: loss" in refused.stderr


def test_outside_of_a_job_logging_only_prints(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import mlplat\nmlplat.log(step=2, loss=0.25)\nprint(mlplat.params())"]
    environ = {"PYTHONPATH": str(IN_ENVIRONMENT)}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "step 2: loss=0.25\n{}\n"
    assert list(tmp_path.iterdir()) == []
