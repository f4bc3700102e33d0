"""The languages of the console: English in the code, translations in one gettext-like table each."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

ENGLISH = "en"
CHINESE = "zh-CN"
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)")
_SIMPLIFIED = re.compile(r"zh(-(cn|sg|my|hans.*))?", re.IGNORECASE)


@dataclass(frozen=True)
class Words:
    """Translates into one language; a text without a translation stays English."""

    language: str
    table: Mapping[str, str]

    def __call__(self, text: str, /, **values: Any) -> str:
        """The text in this language, with `{name}` replaced by the value of that name."""
        found = self.table.get(text) or text
        return found.format(**values) if values else found

    def said(self, text: str) -> str:
        """What the platform says in English, in this language where it is known; the table has {n} for each number."""
        found = self.table.get(_NUMBER.sub("{n}", text))
        numbers = iter(_NUMBER.findall(text))
        return re.sub(r"\{n\}", lambda _: next(numbers), found) if found else text


@cache
def words_of(language: str) -> Words:
    """The words of a language; a table maps each English text to a list with its translation."""
    if language == ENGLISH:
        return Words(ENGLISH, {})
    source = files("jupyter_mlplat.console").joinpath("translations", f"{language}.json")
    entries = json.loads(source.read_text(encoding="utf-8"))
    return Words(language, {text: forms[0] for text, forms in entries.items() if text})


def choose_language(accepted: str) -> str:
    """The language that an Accept-Language header likes best among those that we have."""
    for wanted in _by_preference(accepted):
        if _SIMPLIFIED.fullmatch(wanted):
            return CHINESE
        if wanted.lower().partition("-")[0] == ENGLISH:
            return ENGLISH
    return ENGLISH


def _by_preference(accepted: str) -> list[str]:
    weighted = []
    for entry in accepted.split(","):
        tag, _, weight = entry.partition(";")
        quality = weight.strip().removeprefix("q=") or "1"
        if tag.strip() and re.fullmatch(r"[01](\.\d{0,3})?", quality) and float(quality) > 0:
            weighted.append((float(quality), tag.strip()))
    return [tag for _, tag in sorted(weighted, key=lambda pair: -pair[0])]
