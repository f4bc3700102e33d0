"""Tables on terminals of different widths."""

import os
import pty
import subprocess
import sys

import pytest
from rich.cells import cell_len

from jupyter_mlplat.cli.tables import Column, draw, fitted

ROW = ("digits", "● Running", "python:3.12-cpu-linux-x86_64-with-a-long-tag", "3 m ago", "i-abcdefghjkmn")
COLUMNS: list[Column[tuple[str, ...]]] = [
    Column("NAME", lambda row: row[0]),
    Column("STATE", lambda row: row[1]),
    Column("IMAGE", lambda row: row[2], long=True),
    Column("CREATED", lambda row: row[3], extra=True),
    Column("ID", lambda row: row[4], extra=True),
]


def shown(width: int, row: tuple[str, ...] = ROW) -> dict[str, str]:
    columns = fitted([draw(column, [row]) for column in COLUMNS], width)
    assert sum(column.width + 3 for column in columns) - 3 <= max(width, 40)
    return {column.cells[0].text: column.cells[1].text for column in columns}


def test_on_a_wide_terminal_all_is_shown() -> None:
    assert list(shown(200).values()) == list(ROW)


def test_long_names_are_cut_before_anything_is_left_out() -> None:
    found = shown(80)
    assert found["ID"] == ROW[4]
    assert found["IMAGE"].startswith("python:3")
    assert "…" in found["IMAGE"]


def test_extras_go_from_the_right_and_states_are_never_cut() -> None:
    assert list(shown(70)) == ["NAME", "STATE", "IMAGE", "CREATED"]
    assert list(shown(50)) == ["NAME", "STATE", "IMAGE"]
    assert shown(10)["STATE"] == "● Running"


@pytest.mark.parametrize("width", [40, 60, 90])
def test_wide_characters_are_counted_as_two(width: int) -> None:
    row = ("数字", "● Running", "镜像" * 20, "3 m ago", "i-abcdefghjkmn")
    assert cell_len(shown(width, row)["IMAGE"]) <= 80


def test_a_terminal_gets_colours_and_a_pipe_gets_none() -> None:
    program = (
        "from jupyter_mlplat.cli.tables import Column, show_table\n"
        "from jupyter_mlplat.cli.formats import state\n"
        "show_table(['RUNNING'], [Column('STATE', state)], empty='')\n"
    )
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    environment.pop("NO_COLOR", None)
    piped = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert piped.stdout == "STATE\n● Running\n"
    master, terminal = pty.openpty()
    with os.fdopen(master, "rb", buffering=0) as reader:
        subprocess.run([sys.executable, "-c", program], stdout=terminal, env=environment, check=True)
        assert b"\x1b[32m\xe2\x97\x8f Running" in reader.read(4096)
    os.close(terminal)
