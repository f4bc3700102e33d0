"""Advisories as the platform keeps them, and what they say of the packages of an image."""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from jupyter_mlplat.core.models import Line, Model, Moment, Word
from jupyter_mlplat.core.package_name import package_key

PackageKey = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(package_key)]


class Span(Model):
    """Versions from `introduced` on, before `fixed`, or up to and with `last`; without either all later ones."""

    introduced: Word = "0"
    fixed: Word = ""
    last: Word = ""


class Advisory(Model):
    """A known vulnerability of one Python package: of the versions in any of `spans`, and of each in `versions`.

    `severity` is in its publisher's words, such as HIGH; `aliases` are its names elsewhere, such as CVE numbers.
    """

    id: Annotated[Word, Field(min_length=1)]
    package: PackageKey
    summary: Line = ""
    severity: Word = ""
    aliases: list[Word] = Field(default=[], max_length=100)
    spans: list[Span] = Field(default=[], max_length=1000)
    versions: list[Word] = Field(default=[], max_length=10_000)


class AdvisoryStatus(Model):
    """How many advisories the platform knows, and since when; None where it has never been given any."""

    count: int
    loaded_at: Moment | None


class Vulnerability(Model):
    """That a package of an image is vulnerable. `fixed` is the first later version that is not; empty without one."""

    package: str
    version: str
    id: str
    aliases: list[str]
    summary: str
    severity: str
    fixed: str
