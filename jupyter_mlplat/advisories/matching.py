"""Whether a version is vulnerable, as the OSV format defines it (https://ossf.github.io/osv-schema). Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from packaging.version import InvalidVersion, Version

from jupyter_mlplat.advisories.models import Advisory, Span, Vulnerability
from jupyter_mlplat.images.models import Package

SEVERITIES = ("CRITICAL", "HIGH", "MODERATE", "MEDIUM", "LOW")


def vulnerabilities(packages: Iterable[Package], known: Mapping[str, Sequence[Advisory]]) -> list[Vulnerability]:
    """What is known of the packages, the severest first. `known` holds the advisories of a package by its key.

    One that several publishers have described under the same name is told once, by the one who rates it.
    """
    found = [one for package in packages for one in _of_package(package, known.get(package.key, ()))]
    return sorted(found, key=lambda one: (_rank(one.severity), one.package.lower(), one.id))


def _of_package(package: Package, advisories: Sequence[Advisory]) -> Iterator[Vulnerability]:
    told: set[str] = set()
    for advisory in sorted(advisories, key=lambda one: (_rank(one.severity), one.id)):
        names = {advisory.id, *advisory.aliases}
        if names & told or not is_affected(advisory, package.version):
            continue
        told |= names
        yield Vulnerability(
            package=package.name,
            version=package.version,
            id=advisory.id,
            aliases=advisory.aliases,
            summary=advisory.summary,
            severity=advisory.severity,
            fixed=fixed_in(advisory, package.version),
        )


def is_affected(advisory: Advisory, version: str) -> bool:
    """Whether that version has the vulnerability; one that is no version (PEP 440) only where it is listed."""
    if version in advisory.versions:
        return True
    asked = _version(version)
    return asked is not None and (
        any(_holds(span, asked) for span in advisory.spans)
        or any(_version(listed) == asked for listed in advisory.versions)
    )


def fixed_in(advisory: Advisory, version: str) -> str:
    """The lowest fixed version above that one; empty where none is known."""
    asked = _version(version)
    fixes = [(fix, span.fixed) for span in advisory.spans if (fix := _version(span.fixed)) is not None]
    return min(((fix, word) for fix, word in fixes if asked is not None and fix > asked), default=(None, ""))[1]


def _holds(span: Span, asked: Version) -> bool:
    if span.introduced != "0" and ((introduced := _version(span.introduced)) is None or asked < introduced):
        return False
    if span.fixed:
        return (fixed := _version(span.fixed)) is not None and asked < fixed
    if span.last:
        return (last := _version(span.last)) is not None and asked <= last
    return True


def _version(word: str) -> Version | None:
    try:
        return Version(word)
    except InvalidVersion:
        return None


def _rank(severity: str) -> int:
    word = severity.upper()
    return SEVERITIES.index(word) if word in SEVERITIES else len(SEVERITIES)
