"""obs://BUCKET/KEY."""

import re
from dataclasses import dataclass
from urllib.parse import quote

from jupyter_mlplat.errors import InvalidInput

_URL = re.compile(r"(?:obs|s3)://(?P<bucket>[^/]*)(?:/(?P<key>.*))?", re.DOTALL)


@dataclass(frozen=True)
class ObjectUrl:
    """A bucket and a key in it; an empty key is the bucket, one that ends with / a folder."""

    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> "ObjectUrl":
        """From obs://BUCKET/KEY or s3://BUCKET/KEY; InvalidInput for anything else."""
        match = _URL.fullmatch(text)
        if match is None or not match["bucket"]:
            raise InvalidInput(f"{text!r} is no object path. It looks like obs://bucket/folder/file.")
        return cls(match["bucket"], match["key"] or "")

    @classmethod
    def of_key(cls, key: str) -> "ObjectUrl":
        """From BUCKET/KEY, as listings give it."""
        bucket, _, rest = key.partition("/")
        return cls(bucket, rest)

    def __str__(self) -> str:
        return f"obs://{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rstrip("/").rpartition("/")[2]

    @property
    def is_folder(self) -> bool:
        return not self.key or self.key.endswith("/")

    @property
    def folder(self) -> "ObjectUrl":
        """The same taken as a folder."""
        return self if self.is_folder else ObjectUrl(self.bucket, self.key + "/")

    def child(self, relative: str) -> "ObjectUrl":
        """What lies at a path below this folder."""
        return ObjectUrl(self.bucket, self.folder.key + relative)

    @property
    def prefix(self) -> str:
        """BUCKET/KEY, as listings give it."""
        return f"{self.bucket}/{self.key}"

    @property
    def path(self) -> str:
        """BUCKET/KEY for a request's path."""
        return quote(self.prefix, safe="/")


def is_object_url(text: str) -> bool:
    return text.startswith(("obs://", "s3://"))
