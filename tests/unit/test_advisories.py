"""Known vulnerabilities: OSV's documents read, versions held against them, what an image is said to have."""

import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from platform_stage import ADMIN, ALICE, Opened

from jupyter_mlplat.advisories import osv, service
from jupyter_mlplat.advisories.matching import is_affected, vulnerabilities
from jupyter_mlplat.advisories.models import Advisory, Span
from jupyter_mlplat.errors import InvalidInput, NotAllowed, TooLarge
from jupyter_mlplat.images.models import ImageSave, Package

PIP = Advisory(id="GHSA-mq26", package="Pip", summary="Code runs", severity="MODERATE", aliases=["CVE-2023-5752"],
               spans=[Span(fixed="23.3"), Span(introduced="24.0", fixed="25.0.1")])  # fmt: skip


def document(**more: Any) -> dict[str, Any]:
    """As osv.dev writes them."""
    affected = {
        "package": {"ecosystem": "PyPI", "name": "Pip", "purl": "pkg:pypi/pip"},
        "ranges": [
            {"type": "GIT", "repo": "https://example.org/pip", "events": [{"introduced": "0"}, {"fixed": "389cb79"}]},
            {
                "type": "ECOSYSTEM",
                "events": [{"introduced": "0"}, {"fixed": "23.3"}, {"introduced": "24.0"}, {"fixed": "25.0.1"}],
            },
        ],
        "versions": ["23.2", "24.0"],
    }
    return {
        "schema_version": "1.6.0",
        "id": "GHSA-mq26",
        "summary": "Code  runs\n",
        "aliases": ["CVE-2023-5752"],
        "modified": "2026-01-02T00:00:00Z",
        "database_specific": {"severity": "MODERATE"},
        "affected": [affected, {"package": {"ecosystem": "npm", "name": "pip"}}],
        **more,
    }


def test_a_document_of_osv_is_read() -> None:
    assert list(osv.advisories_of(document())) == [PIP]


@pytest.mark.parametrize(
    ("severity", "word"),
    [
        ([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}], "CRITICAL"),
        ([{"type": "CVSS_V2", "score": "AV:L/AC:H/Au:M/C:P/I:N/A:N"}], "LOW"),
        (
            [
                {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"},
                {"type": "CVSS_V4", "score": "CVSS:4.0/AV:L/AC:H/AT:P/PR:H/UI:P/VC:L/VI:L/VA:L/SC:N/SI:N/SA:N"},
            ],
            "LOW",
        ),
        ([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"}], ""),
        ([{"type": "CVSS_V3", "score": "CVSS:3.1/of/nothing"}], ""),
        ([{"type": "Ubuntu", "score": "medium"}], ""),
    ],
)
def test_without_a_word_the_vectors_say_how_severe_it_is(severity: list[dict[str, str]], word: str) -> None:
    (found,) = osv.advisories_of(document(database_specific={}, severity=severity))
    assert found.severity == word


def test_what_was_withdrawn_or_is_not_about_python_is_left_out() -> None:
    assert not list(osv.advisories_of(document(withdrawn="2026-02-02T00:00:00Z")))
    other = [{"package": {"ecosystem": "Go", "name": "pip"}}]
    assert not list(osv.advisories_of(document(affected=other)))


def test_versions_count_where_there_are_no_ranges() -> None:
    affected = [{"package": {"ecosystem": "PyPI", "name": "pip"}, "versions": ["1.0", "old-one"]}]
    (found,) = osv.advisories_of(document(affected=affected))
    assert is_affected(found, "1.0.0")
    assert is_affected(found, "old-one")
    assert not is_affected(found, "1.1")
    assert not is_affected(found, "other-one")


@pytest.mark.parametrize("shape", ["file", "folder", "zip"])
def test_a_file_a_folder_and_a_zip_are_read(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "given"
    if shape == "file":
        path.write_text(json.dumps(document()))
    elif shape == "folder":
        (path / "deep").mkdir(parents=True)
        (path / "deep" / "one.json").write_text(json.dumps(document()))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("one.json", json.dumps(document()))
            archive.writestr("README", "no document")
    assert osv.read(path) == [PIP]


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"affected": 3}', '{"affected": [{"package": []}]}'])
def test_what_is_no_document_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"bad\.json|no advisory on a Python package"):
        osv.read(tmp_path)


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("23.2.1", True), ("23.3", False), ("23.3rc1", True), ("23.9", False), ("24.0", True), ("25.0.1", False),
        ("25.0.1.dev1", True), ("what", False),
    ],
)  # fmt: skip
def test_a_version_is_held_against_the_spans(version: str, affected: bool) -> None:
    assert is_affected(PIP, version) is affected


def test_a_span_can_end_with_its_last_version_or_never() -> None:
    last = Advisory(id="A", package="p", spans=[Span(introduced="1.0", last="1.4")])
    assert [is_affected(last, version) for version in ("0.9", "1.0", "1.4", "1.4.1")] == [False, True, True, False]
    assert is_affected(Advisory(id="A", package="p", spans=[Span()]), "99")


@given(st.lists(st.integers(0, 30), min_size=3, max_size=3, unique=True), st.integers(0, 30))
def test_a_span_holds_what_lies_between_its_ends(numbers: list[int], asked: int) -> None:
    first, middle, end = sorted(numbers)
    spans = [Span(introduced=str(first), fixed=str(middle)), Span(introduced=str(end))]
    expected = first <= asked < middle or asked >= end
    assert is_affected(Advisory(id="A", package="p", spans=spans), str(asked)) is expected


def test_one_that_two_publishers_describe_is_told_once_and_the_severest_come_first() -> None:
    again = PIP.model_copy(update={"id": "PYSEC-2023-228", "severity": "", "aliases": ["CVE-2023-5752", "GHSA-mq26"]})
    worse = Advisory(id="GHSA-zzzz", package="einops", severity="CRITICAL", spans=[Span()])
    found = vulnerabilities(
        [Package(name="pip", version="24.0"), Package(name="Einops", version="0.8"), Package(name="six", version="1")],
        {"pip": [again, PIP], "einops": [worse]},
    )
    assert [(one.package, one.id, one.fixed) for one in found] == [
        ("Einops", "GHSA-zzzz", ""),
        ("pip", "GHSA-mq26", "25.0.1"),
    ]


async def lines(*advisories: Advisory) -> AsyncIterator[bytes]:
    for one in advisories:
        yield one.model_dump_json().encode() + b"\n"


async def told(text: bytes) -> AsyncIterator[bytes]:
    yield text


@pytest.mark.both_databases
async def test_an_image_says_which_of_its_packages_are_vulnerable(stages: Opened) -> None:
    stage = stages()
    made = await stage.running_instance()
    stage.world.installed[made.id] = [Package(name="Einops", version="0.8.1")]
    image = await stage.images.save(ALICE, made.id, ImageSave(name="mine", tag="1"))
    await stage.settle()
    assert (await stage.images.get(ALICE, image.id)).vulnerabilities is None
    assert (await service.status(ALICE, stage.database)).loaded_at is None

    one = Advisory(id="GHSA-aaaa", package="einops", spans=[Span()])
    await service.replace(
        ADMIN, stage.database, lines(one, *(one.model_copy(update={"id": f"X-{n}"}) for n in range(1200)))
    )
    assert (await service.status(ALICE, stage.database)).count == 1201
    found = (await stage.images.get(ALICE, image.id)).vulnerabilities
    assert found is not None
    assert {each.package for each in found} == {"Einops"}

    await service.replace(ADMIN, stage.database, lines(PIP.model_copy(update={"package": "nobody-has-it"})))
    assert (await stage.images.get(ALICE, image.id)).vulnerabilities == []
    assert [each.action for each in await stage.audited()].count("advisory:replace") == 2


async def test_only_administrators_give_advisories_and_bad_ones_change_nothing(stages: Opened) -> None:
    stage = stages()
    with pytest.raises(NotAllowed):
        await service.replace(ALICE, stage.database, lines(PIP))
    await service.replace(ADMIN, stage.database, lines(PIP))
    for bad in (
        b"",
        b"{}",
        b'{"id": "A", "package": "p"}\n{"id": ""',
        b"\xff\xfe",
        b'{"id":"A","package":"p","more":1}',
    ):
        with pytest.raises(InvalidInput, match=r"Line \d is no advisory|There is no advisory"):
            await service.replace(ADMIN, stage.database, told(bad))
    with pytest.raises(TooLarge):
        await service.replace(ADMIN, stage.database, told(b" " * (service.MOST_BYTES + 1)))
    assert (await service.status(ADMIN, stage.database)).count == 1
