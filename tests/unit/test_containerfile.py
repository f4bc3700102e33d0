"""What a Containerfile says that it stands on, and values for its arguments."""

import pytest

from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.images.containerfile import read, with_arguments


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("FROM python:3.11", ["python:3.11"]),
        ("# FROM nowhere:1\nfrom python:3.11 as base\nFROM base\n", ["python:3.11"]),
        ("FROM --platform=linux/amd64 python:3.11\n", ["python:3.11"]),
        ("ARG TAG=3.11\nARG IMAGE=python\nFROM ${IMAGE}:$TAG\n", ["python:3.11"]),
        ('ARG BASE="python:3.11"\nFROM ${BASE}\n', ["python:3.11"]),
        ("FROM ${BASE:-python:3.11}\n", ["python:3.11"]),
        ("FROM python:3.11 AS one\nFROM pytorch:2.13\nCOPY --from=one /a /b\nCOPY --from=0 /a /c\n",
         ["python:3.11", "pytorch:2.13"]),
        ("FROM python:3.11\nCOPY --from=tools:1 /a /b\nCOPY --chown=1000 --from=tools:1 /c /d\n",
         ["python:3.11", "tools:1"]),
        ("FROM scratch\nCOPY . /\n", []),
        ("FROM \\\n  # in between\n  python:3.11\nRUN echo \\\n FROM nowhere:1\n", ["python:3.11"]),
        ("# escape=`\nFROM `\n python:3.11\nRUN dir C:\\\n", ["python:3.11"]),
        ("FROM python:3.11\nRUN <<EOF\nFROM nowhere:1\nEOF\nFROM pytorch:2.13", ["python:3.11", "pytorch:2.13"]),
        ("FROM python:3.11\nARG LATE=nowhere:1\nRUN echo $LATE\n", ["python:3.11"]),
    ],
)  # fmt: skip
def test_its_images_are_found(text: str, images: list[str]) -> None:
    assert list(read(text).named) == images


@pytest.mark.parametrize("text", ["", "# only words", "RUN true", "FROM", "FROM $NOWHERE", "ARG BASE\nFROM $BASE"])
def test_what_names_no_image_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read(text)


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("FROM python:3.11", "python:3.11"),
        ("FROM tools:1 AS tools\nFROM python:3.11\nCOPY --from=tools /a /b\n", "python:3.11"),
        ("FROM python:3.11 AS one\nFROM tools:1 AS two\nFROM one\nCOPY --from=extra:1 /a /b\n", "python:3.11"),
        ("FROM python:3.11\nFROM scratch\n", ""),
    ],
)
def test_its_last_stage_is_the_image(text: str, image: str) -> None:
    assert read(text).last == image


@pytest.mark.parametrize(
    ("text", "values", "after"),
    [
        ("FROM a:1", {}, "FROM a:1"),
        ("ARG BASE\nFROM ${BASE}\n", {"BASE": "a:1"}, 'ARG BASE="a:1"\nFROM ${BASE}\n'),
        ("ARG A=1 B=2 C\nFROM a:1", {"B": "x y", "C": ""}, 'ARG A=1 B="x y" C=""\nFROM a:1\n'),
        ("arg A='1 2'\nFROM a:1\n  ARG A\n", {"A": "3"}, 'arg A="3"\nFROM a:1\n  ARG A="3"\n'),
        ("FROM a:1\nARG A \\\n # B\n    B=1\nRUN x \\\n ARG B\n", {"B": "2"},
         'FROM a:1\nARG A \\\n # B\n    B="2"\nRUN x \\\n ARG B\n'),
        ("FROM a:1\nARG A\nARG AB\n", {"A": 'say "$x" \\'}, 'FROM a:1\nARG A="say \\"\\$x\\" \\\\"\nARG AB\n'),
    ],
)  # fmt: skip
def test_arguments_are_given_their_values(text: str, values: dict[str, str], after: str) -> None:
    assert with_arguments(text, values) == after


@pytest.mark.parametrize(("values", "words"), [({"B": "1"}, "no ARG B"), ({"A": "1\n2"}, "several lines")])
def test_an_argument_that_cannot_be_given_is_refused(values: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        with_arguments("ARG A\n# ARG B\nFROM a:1\nRUN echo \\\n ARG B\n", values)


def test_a_value_of_an_argument_is_read_as_it_is_built() -> None:
    assert list(read(with_arguments("ARG BASE=b:1\nFROM ${BASE}", {"BASE": "a:1"})).named) == ["a:1"]
