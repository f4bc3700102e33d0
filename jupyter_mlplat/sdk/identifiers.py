"""Telling an id from a name."""

import re

_ID = re.compile(r"[a-z]{1,5}-[a-z2-9]{12}")


def looks_like_id(text: str) -> bool:
    """Whether `text` has the form of an id such as i-k3v9x2mq8p4t. A name may have it too, so ask for both."""
    return _ID.fullmatch(text) is not None
