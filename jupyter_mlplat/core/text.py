"""Text that people type: what is taken, and what is said of what is not."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function

_SHOWN = 80
_LAYOUT = "\n\r\t"
_PLACES = frozenset({"body", "query", "path", "header", "[key]"})
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is unknown here; leave it out",
    "string_type": "must be text",
    "string_unicode": "must be text that UTF-8 can hold",
    "string_too_short": "must not be empty",
    "string_too_long": "may have at most {max_length} characters",
    "too_long": "may have at most {max_length} entries",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "int_from_float": "must be a whole number",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "enum": "must be one of {expected}",
    "literal_error": "must be one of {expected}",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "json_invalid": "is not JSON: {error}",
    "value_error": "{error}",
}
"""What we say for pydantic's kinds of errors; of the others its own words."""


class Rule:
    """Marks text of 1 to `limit` characters that fits `pattern`; whoever breaks it is told `words`, not the pattern."""

    def __init__(self, pattern: str, limit: int, words: str) -> None:
        self._pattern, self._limit, self._words = pattern, limit, words

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"minLength": 1, "maxLength": self._limit, "pattern": self._pattern}

    def _checked(self, text: str) -> str:
        if len(text) <= self._limit and re.fullmatch(self._pattern, text):
            return text
        long = f" with its {len(text)} characters" if len(text) > self._limit else ""
        raise refused(f"{shown(text)}{long} cannot be taken: {self._words}")


def readable(text: str) -> str:
    """The text, if a terminal and a database can take it: no control characters but line breaks and tabs."""
    return _without_control(text, _LAYOUT)


def one_line(text: str) -> str:
    """The text, if it has no control characters at all."""
    return _without_control(text, "")


def whole(text: str) -> str:
    """The text, if a process and a database can take it: no NUL, nothing that UTF-8 cannot hold."""
    if "\0" in text or any(unicodedata.category(character) == "Cs" for character in text):
        raise refused(f"{shown(text)} has characters that cannot be passed on")
    return text


def shown(text: str) -> str:
    """Text as a sentence can show it: in quotation marks, of bearable length, harmless."""
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"


def refused(words: str) -> PydanticCustomError:
    """The error of a validator, in words that need no more."""
    return PydanticCustomError("refused", "{words}", {"words": words})


def describe(errors: Iterable[Mapping[str, Any]]) -> str:
    """What is wrong with the input, by pydantic's errors: the first five, each with its field."""
    return "; ".join(_described(error) for error in list(errors)[:5]) + "."


def _described(error: Mapping[str, Any]) -> str:
    words = _WORDS.get(error["type"], error["msg"])
    for name, value in error.get("ctx", {}).items():
        words = words.replace(f"{{{name}}}", str(value))
    body = error["type"] == "json_invalid"
    field = "" if body else ".".join(str(part) for part in error["loc"] if part not in _PLACES)
    field = field.encode(errors="backslashreplace").decode()
    return f"{field[:_SHOWN]}: {words}" if field else f"the request's body {words}"


def _without_control(text: str, allowed: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cs") and character not in allowed for character in text):
        raise refused(f"{shown(text)} has control characters; leave them out")
    return text
