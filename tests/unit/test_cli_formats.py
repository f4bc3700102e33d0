"""Times, sizes, states and typed options."""

import json
import math
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mlplat.cli import formats
from jupyter_mlplat.cli.arguments import one_of, pairs, parameters, scalar

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (-3, "just now"),
        (12, "12 s ago"),
        (60, "1 m ago"),
        (3 * 3600 + 59, "3 h ago"),
        (29.5 * 86400, "29 d ago"),
        (31 * 86400, "2026-01-29"),
    ],
)
def test_relative_times(seconds: float, words: str) -> None:
    assert formats.relative(NOW - timedelta(seconds=seconds), NOW) == words


def test_never_is_a_dash() -> None:
    assert (formats.relative(None), formats.duration(None), formats.exact(None)) == ("-", "-", "-")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.42, "0.4 s"), (59.4, "59 s"), (59.6, "1 m 0 s"), (192.4, "3 m 12 s"), (7500, "2 h 5 m")]
)
def test_durations(seconds: float, words: str) -> None:
    assert formats.duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (8 * 1024**3, "8 GiB"), (345.6 * 1024**2, "346 MiB")],
)
def test_sizes(count: float, words: str) -> None:
    assert formats.size(count) == words


@given(st.text(max_size=60), st.integers(min_value=3, max_value=40))
def test_what_is_cut_keeps_its_ends(text: str, width: int) -> None:
    cut = formats.middle_cut(text, width)
    assert len(cut) <= width
    assert cut == text or (cut[0] == text[0] and cut[-1] == text[-1] and "…" in cut)


@pytest.mark.parametrize(
    ("name", "text", "style"),
    [
        ("RUNNING", "● Running", "green"),
        ("START_FAILED", "● Start failed", "red"),
        ("SNAPSHOTTING", "● Snapshotting", "yellow"),
        ("STOPPED", "○ Stopped", "bright_black"),
        ("Completed", "● Completed", "green"),
        ("Abnormal", "● Abnormal", "red"),
    ],
)
def test_a_state_has_a_dot_a_word_and_a_colour(name: str, text: str, style: str) -> None:
    assert formats.state(name) == (text, style)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-0.5", -0.5),
        ("1e-3", 0.001),
        ("true", True),
        ('"3"', "3"),
        ("adam", "adam"),
        ("", ""),
        ("True", "True"),
        ("null", "null"),
        ("[1]", "[1]"),
        ("NaN", "NaN"),
        ("1e999", "1e999"),
        ("a=b", "a=b"),
    ],
)
def test_a_parameter_is_a_json_scalar_or_text(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


@given(st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()))
def test_every_scalar_can_be_given_as_json(value: bool | int | float | str) -> None:
    given_as = scalar(json.dumps(value))
    assert given_as == value or (isinstance(value, float) and math.isclose(given_as, value))


def test_options_of_the_form_k_equals_v() -> None:
    assert parameters(["lr=0.1", "opt=a=b"]) == {"lr": 0.1, "opt": "a=b"}
    assert pairs(["data=obs://b/x?y=1"], "--input") == {"data": "obs://b/x?y=1"}


@pytest.mark.parametrize("given_as", [["lr"], ["=1"], ["lr=1", "lr=2"]])
def test_options_that_are_not_of_that_form(given_as: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        parameters(given_as)


def test_a_choice_is_meant_in_whatever_case() -> None:
    kind = StrEnum("Kind", {"A": "RUNNING", "B": "STOPPED"})
    assert one_of(kind, "running", "--status") is kind["A"]
    with pytest.raises(typer.BadParameter, match="RUNNING, STOPPED"):
        one_of(kind, "walking", "--status")


def test_a_name_cannot_steer_the_terminal() -> None:
    assert formats.visible("a\x1b[2Jb\nc\udcff\u202ed") == "a\\x1b[2Jb\\nc\\udcff\\u202ed"
    assert formats.visible("two\nlines of 数据 👩\u200d🔬", keep="\n") == "two\nlines of 数据 👩\u200d🔬"
