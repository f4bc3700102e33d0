"""Reads advisories from files in the OSV format (https://ossf.github.io/osv-schema), as osv.dev gives them away."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cvss import CVSS2, CVSS3, CVSS4
from cvss.exceptions import CVSSError

from jupyter_mlplat.advisories.models import Advisory, Span
from jupyter_mlplat.errors import InvalidInput

ECOSYSTEM = "PyPI"
SUMMARY_LENGTH = 300


def read(path: Path) -> list[Advisory]:
    """The advisories on Python packages in a document, in a folder of documents or in a zip archive of them.

    InvalidInput with the document's name where one cannot be understood, or where none is on Python packages.
    """
    found: dict[tuple[str, str], Advisory] = {}
    for name, text in _documents(path):
        try:
            for one in advisories_of(json.loads(text)):
                found[one.id, one.package] = one
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidInput(f"{name} is no document in the OSV format: {type(error).__name__}: {error}") from error
    if not found:
        raise InvalidInput(f"{path} has no advisory on a Python package: give OSV's documents of the ecosystem PyPI.")
    return list(found.values())


def advisories_of(document: Mapping[str, Any]) -> Iterator[Advisory]:
    """One for each Python package that a document is about; none where it has been withdrawn."""
    affected: dict[str, list[Mapping[str, Any]]] = {}
    for entry in document.get("affected") or []:
        package = entry.get("package") or {}
        if str(package.get("ecosystem", "")).partition(":")[0] == ECOSYSTEM:
            affected.setdefault(package["name"], []).append(entry)
    if document.get("withdrawn"):
        return
    for name, entries in affected.items():
        yield _advisory(document, name, entries)


def _advisory(document: Mapping[str, Any], name: str, entries: list[Mapping[str, Any]]) -> Advisory:
    spans = [span for entry in entries for span in _spans(entry)]
    summary = document.get("summary") or document.get("details") or ""
    return Advisory(
        id=document["id"],
        package=name,
        summary=" ".join(summary.split())[:SUMMARY_LENGTH],
        severity=_severity(document, entries),
        aliases=document.get("aliases") or [],
        spans=spans,
        # where there are spans, the list only writes out what lies in them
        versions=[] if spans else [version for entry in entries for version in entry.get("versions") or []],
    )


def _spans(entry: Mapping[str, Any]) -> Iterator[Span]:
    """The spans between the events of an entry, which stand in the order of their versions."""
    for found in entry.get("ranges") or []:
        if found["type"] != "ECOSYSTEM":
            continue
        introduced = None
        for event in found["events"]:
            if "introduced" in event:
                introduced = event["introduced"]
            elif introduced is not None and ("fixed" in event or "last_affected" in event):
                yield Span(introduced=introduced, fixed=event.get("fixed", ""), last=event.get("last_affected", ""))
                introduced = None
        if introduced is not None:
            yield Span(introduced=introduced)


def _severity(document: Mapping[str, Any], entries: list[Mapping[str, Any]]) -> str:
    """The publisher's word, else the one that CVSS has for the newest of the vectors."""
    places = [document, *entries]
    words = [(place.get("database_specific") or {}).get("severity") for place in places]
    rated = sorted((one["type"], one["score"]) for place in places for one in place.get("severity") or [])
    words += [_word(type, vector) for type, vector in reversed(rated)]
    return next((word for word in words if isinstance(word, str) and word), "")


def _word(type: str, vector: str) -> str:
    """CRITICAL, HIGH, MEDIUM or LOW, by the base score of a vector; empty where it says none, or is none."""
    kind = {"CVSS_V2": CVSS2, "CVSS_V3": CVSS3, "CVSS_V4": CVSS4}.get(type)
    try:
        rated = kind(vector) if kind else None
    except CVSSError:
        return ""
    word = rated.severities()[0].upper() if rated else ""
    return "" if word == "NONE" else word


def _documents(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            yield str(file), file.read_bytes()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".json"):
                    yield f"{name} in {path}", archive.read(name)
    else:
        yield str(path), path.read_bytes()
