"""The console's translations: nothing missing, nothing left over, the same places for values."""

import json
import re
from importlib.resources import files
from string import Formatter

import pytest
from jinja2 import nodes

from jupyter_mlplat.backends.local.plan import COMPILED
from jupyter_mlplat.backends.local.snapshot import LEADS_OUT
from jupyter_mlplat.console import formats, instance_pages, states
from jupyter_mlplat.console.render import ENVIRONMENT, SPOKEN_BY_SCRIPTS
from jupyter_mlplat.console.words import CHINESE, choose_language, words_of
from jupyter_mlplat.oci.left_out import CACHE, MOUNT, NOT_A_FILE, SECRET, SESSION

CONSOLE = files("jupyter_mlplat.console")
PASSED_ON = {"Your images", "Presets", "Shared with you", "Switching", "Done", "Refused"}
"""Texts that reach `t` as values."""


def in_templates() -> set[str]:
    """Every text that a template gives to `t`."""
    found = set()
    for template in ENVIRONMENT.list_templates():
        source = CONSOLE.joinpath("templates", template).read_text(encoding="utf-8")
        for call in ENVIRONMENT.parse(source).find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "t" and isinstance(call.args[0], nodes.Const):
                found.add(call.args[0].value)
    return found


def in_states() -> set[str]:
    tables = (
        states.INSTANCE_STATES, states.IMAGE_STATES, states.REGISTERED_STATES, states.BUILT_STATES,
        states.JOB_STATES, states.STEP_STATES,
        states.ENDPOINT_STATES,
    )  # fmt: skip
    words = {state.word for table in tables for state in table.values()}
    return words | set(states.STEP_WORDS.values())


def in_formats() -> set[str]:
    source = CONSOLE.joinpath("formats.py").read_text(encoding="utf-8")
    return set(re.findall(r'words\("([^"]+)"', source))


USED = in_templates() | in_states() | in_formats() | set(SPOKEN_BY_SCRIPTS) | PASSED_ON
TABLE = json.loads(CONSOLE.joinpath("translations", f"{CHINESE}.json").read_text(encoding="utf-8"))
KEPT_ENGLISH = {"CPU", "GPU", "Ascend NPU"}
WHERE = ("this machine ", "this cluster ", "no node of this cluster ", "the nodes are full")
REASONS = {
    SECRET, SESSION, CACHE, MOUNT, NOT_A_FILE, LEADS_OUT, COMPILED, "the work folder: your files stay with the instance"
}  # fmt: skip
"""Why something stays out of an image."""
FROM_THE_API = REASONS | {
    text for text in TABLE if text.startswith((*("applies ", "restarts ", "too few ", "all "), *WHERE))
}


def test_every_text_is_translated() -> None:
    assert USED - KEPT_ENGLISH - TABLE.keys() == set()


def test_every_reason_is_translated() -> None:
    assert REASONS - TABLE.keys() == set()


def test_no_translation_is_left_over() -> None:
    assert TABLE.keys() - USED - FROM_THE_API - {""} == set()


def test_headings_of_flavors_need_no_translation() -> None:
    assert set(instance_pages.CATEGORIES.values()) == KEPT_ENGLISH


@pytest.mark.parametrize("text", sorted(TABLE.keys() - {""}))
def test_a_translation_has_the_same_places(text: str) -> None:
    (translated,) = TABLE[text]
    assert translated
    assert places(translated) == places(text)


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_what_scripts_say_is_in_the_page() -> None:
    files_of = CONSOLE.joinpath("static").iterdir()
    scripts = [path.read_text(encoding="utf-8") for path in files_of if path.name.endswith(".js")]
    said = {text for script in scripts for text in re.findall(r"say\('([^']+)'", script)}
    assert said <= set(SPOKEN_BY_SCRIPTS)


def test_a_text_without_translation_stays_english() -> None:
    assert words_of(CHINESE)("No such text {n}", n=3) == "No such text 3"


def test_numbers_in_what_the_platform_says_keep_their_places() -> None:
    full = "the nodes are full: the most that is free on one is 0.98 CPU cores and 22.3 GiB"
    assert words_of(CHINESE).said(full) == "节点已满：单个节点最多还空闲 0.98 核、22.3 GiB"
    assert words_of(CHINESE).said("this machine has 2 cores") == "此机器只有 2 核"


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [(0, "0 s", "0 秒"), (59.6, "1 m 0 s", "1 分 0 秒"), (192, "3 m 12 s", "3 分 12 秒"),
     (7380, "2 h 3 m", "2 小时 3 分"),
     (90000, "1 d 1 h", "1 天 1 小时"), (None, "", "")],
)  # fmt: skip
def test_durations(seconds: float | None, english: str, chinese: str) -> None:
    assert formats.duration(seconds, words_of("en")) == english
    assert formats.duration(seconds, words_of(CHINESE)) == chinese


def test_sizes() -> None:
    assert [formats.size(n) for n in (0, 1023, 2048, 5 * 2**20, 3 * 2**29, 200 * 2**30)] == [
        "0 B", "1023 B", "2 KiB", "5.0 MiB", "1.5 GiB", "200 GiB",
    ]  # fmt: skip
    assert [formats.memory(n) for n in (512, 2048, 2500)] == ["512 MiB", "2 GiB", "2500 MiB"]


@pytest.mark.parametrize("length", [3, 8, 9, 40])
def test_long_names_are_cut_in_the_middle(length: int) -> None:
    name = "a" * 50 + "z" * 50
    cut = formats.middle(name, length)
    assert len(cut) == length
    assert cut.startswith("a")
    assert cut.endswith("z")
    assert formats.middle("short", 5) == "short"


def test_the_best_liked_language_wins() -> None:
    assert choose_language("en;q=0.1, zh-CN;q=0.9") == CHINESE
    assert choose_language("en, zh-CN") == "en"
