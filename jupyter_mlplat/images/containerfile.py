"""What a Containerfile stands on: the images of others that it names; and its arguments. By Containerfile(5).

It is not checked any further: what cannot be built says so when it is.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_mlplat.errors import InvalidInput

SCRATCH = "scratch"
MOST_BYTES = 64 * 1024
_ESCAPE = re.compile(r"#\s*escape\s*=\s*([\\`])\s*", re.IGNORECASE)
_HERE = re.compile(r"<<-?\s*([\"']?)([A-Za-z_][A-Za-z0-9_]*)\1")
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+])([^}]*))?\}|([A-Za-z_][A-Za-z0-9_]*))")
_ARGUMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:=(\"[^\"]*\"|'[^']*'|\S*))?")
_WITH_HERE = ("RUN", "COPY", "ADD")
_ARG = re.compile(r"\s*ARG\s+", re.IGNORECASE)


@dataclass
class Stages:
    """What a Containerfile builds on: `named` are the images of others, in their order, each once; `last` the one that
    its last stage stands on, empty for none."""

    named: dict[str, None] = field(default_factory=dict)
    last: str = ""
    _below: dict[str, str] = field(default_factory=dict)
    _count: int = 0

    def begin(self, image: str, name: str) -> None:
        """A FROM."""
        if image.lower() in self._below:
            self.last = self._below[image.lower()]
        else:
            self.last = "" if image == SCRATCH else image
            self._name(self.last)
        self._count += 1
        self._below |= {key: self.last for key in (name.lower(), str(self._count - 1)) if key}

    def copy(self, image: str) -> None:
        """A COPY --from."""
        if image.lower() not in self._below:
            self._name(image)

    @property
    def begun(self) -> bool:
        return self._count > 0

    def _name(self, image: str) -> None:
        if image:
            self.named[image] = None


def read(text: str) -> Stages:
    """What a Containerfile says that it builds on.

    InvalidInput where there is no FROM, or where one names an image by a variable without a value.
    """
    stages = Stages()
    values: dict[str, str] = {}
    for instruction, words in _instructions(text):
        if instruction == "ARG" and not stages.begun:
            values |= {found[1]: _unquoted(found[2] or "") for found in _ARGUMENT.finditer(words)}
        elif instruction == "FROM":
            stages.begin(*_from(words, values))
        elif instruction in ("COPY", "ADD"):
            stages.copy(_copied_from(words))
    if not stages.begun:
        raise InvalidInput(
            "The Containerfile has no FROM: begin it with the image to build on, such as FROM python:3.11"
        )
    return stages


def load(file: Path) -> str:
    """The text of a Containerfile. InvalidInput says in words why it cannot be had."""
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise InvalidInput(
                f"{file.name} has more than {MOST_BYTES // 1024} KiB, which is much for a Containerfile."
            )
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(f"{file.name} is no text in UTF-8.") from None
    except OSError as error:
        raise InvalidInput(f"{file.name} cannot be read: {error.strerror}.") from None


def with_arguments(text: str, values: Mapping[str, str]) -> str:
    """The Containerfile with these values for its arguments, in each ARG that names them.

    InvalidInput for an argument that no ARG names, and for a value of several lines.
    """
    if not values:
        return text
    escape, given, lines = _escape_of(text), set[str](), list[str]()
    if odd := [name for name, value in values.items() if len(value.splitlines()) > 1]:
        raise InvalidInput(f"The value of {odd[0]} has several lines.")

    def told(found: "re.Match[str]") -> str:
        if found[1] not in values:
            return found[0]
        given.add(found[1])
        value = "".join(escape + letter if letter in f'"${escape}' else letter for letter in values[found[1]])
        return f'{found[1]}="{value}"'

    begins, goes_on = None, False
    for line in text.splitlines():
        if not line.lstrip().startswith("#"):
            begins = begins if goes_on else _ARG.match(line)
            at = begins.end() if begins and not goes_on else 0
            goes_on = line.rstrip().endswith(escape)
            line = line[:at] + _ARGUMENT.sub(told, line[at:]) if begins else line
        lines.append(line)
    if unknown := sorted(set(values) - given):
        raise InvalidInput(f"The Containerfile has no ARG {unknown[0]}.")
    return "".join(f"{line}\n" for line in lines)


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """The instructions with what follows them, without comments and what stands in here-documents."""
    lines = iter(text.splitlines())
    escape = _escape_of(text)
    for line in lines:
        whole = _joined(line, lines, escape)
        instruction, _, words = whole.partition(" ")
        if instruction.upper() in _WITH_HERE:
            for here in _HERE.finditer(words):
                _pass_over(lines, here[2])
        if instruction:
            yield instruction.upper(), words.strip()


def _escape_of(text: str) -> str:
    """What lets a line go on: a backslash, unless the first line says otherwise."""
    found = _ESCAPE.fullmatch(text.lstrip().partition("\n")[0].strip())
    return found[1] if found else "\\"


def _joined(line: str, more: Iterator[str], escape: str) -> str:
    """A line with those that go on with it."""
    parts = []
    while True:
        line = line.strip()
        if not line.startswith("#"):
            goes_on = line.endswith(escape)
            parts.append(line.removesuffix(escape).strip())
            if not goes_on:
                break
        elif not parts:
            break
        following = next(more, None)
        if following is None:
            break
        line = following
    return " ".join(" ".join(parts).split())


def _pass_over(lines: Iterator[str], end: str) -> None:
    for line in lines:
        if line.strip() == end:
            return


def _from(words: str, values: Mapping[str, str]) -> tuple[str, str]:
    """The image of a FROM, and the name of its stage."""
    given = [word for word in words.split() if not word.startswith("--")]
    if not given:
        raise InvalidInput("A FROM of the Containerfile names no image.")
    stage = given[2] if len(given) == 3 and given[1].upper() == "AS" else ""
    image = _VARIABLE.sub(lambda found: _value(found, values), given[0])
    if not image:
        raise InvalidInput(f"FROM {given[0]} names no image: give its ARG a value in the Containerfile.")
    return image, stage


def _value(found: "re.Match[str]", values: Mapping[str, str]) -> str:
    value = values.get(found[1] or found[4], "")
    how, other = found[2] or "", found[3] or ""
    if how.endswith("+"):
        return other if value else ""
    return value or (other if how else "")


def _copied_from(words: str) -> str:
    for word in words.split():
        if word.startswith("--from="):
            return _unquoted(word.removeprefix("--from="))
    return ""


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
