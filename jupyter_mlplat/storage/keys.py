"""Names of buckets and objects: what is allowed, and how obs://BUCKET/KEY is read."""

import re
from typing import NamedTuple

from jupyter_mlplat.errors import InvalidInput

KEY_BYTES = 1024
SEGMENT_BYTES = 255

_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_URL = re.compile(r"(?:obs|s3)://([^/]*)/?(.*)", re.DOTALL)


class Place(NamedTuple):
    """A bucket and a key in it; an empty key is the bucket itself."""

    bucket: str
    key: str


def split(path: str) -> Place:
    """BUCKET/KEY, as paths and listings give it; InvalidInput for names that cannot be."""
    bucket, _, key = path.partition("/")
    check_bucket(bucket)
    if key:
        check_key(key)
    return Place(bucket, key)


def parse_url(url: str) -> Place:
    """An obs:// or s3:// URL of an object, a folder (with or without a / at its end) or a bucket."""
    match = _URL.fullmatch(url)
    if match is None:
        raise InvalidInput(f"{url!r} is no object path. It looks like obs://bucket/folder/file.")
    return split(f"{match[1]}/{match[2].removesuffix('/')}")


def check_bucket(name: str) -> None:
    if not _BUCKET.fullmatch(name) or _ADDRESS.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is no bucket name: 3 to 63 lower case letters, digits, hyphens and single dots, "
            "beginning and ending with a letter or a digit."
        )


def check_key(key: str) -> None:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidInput("An object's key must be text in UTF-8.") from None
    if size > KEY_BYTES:
        raise InvalidInput(f"An object's key may have {KEY_BYTES} bytes; this one has {size}. Choose a shorter one.")
    parts = key.split("/")
    if "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise InvalidInput(f"{key!r} is no key of an object: its parts between / cannot be empty, . or ..")
    if any(len(part.encode()) > SEGMENT_BYTES for part in parts):
        raise InvalidInput(f"Each part of a key between / may have {SEGMENT_BYTES} bytes. Choose shorter names.")
