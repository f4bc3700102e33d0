"""Names of Python packages."""

import re


def package_key(name: str) -> str:
    """The spelling of a package's name that all its spellings share (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
