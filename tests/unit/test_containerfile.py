"""What a Containerfile says that it stands on."""

import pytest

from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.images.containerfile import read


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
