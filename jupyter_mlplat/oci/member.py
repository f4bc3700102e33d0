"""One entry of a layer and its tar header."""

import struct
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

BLOCK = 512
_OCTAL_LIMIT = 8**11
_ID_LIMIT = 8**7
_USTAR = struct.Struct("100s8s8s8s12s12s8ss100s8s32s32s8s8s155s12x")
_XATTR = "SCHILY.xattr."


class Kind(Enum):
    """What a layer can hold; the values are tar's type flags."""

    FILE = tarfile.REGTYPE
    DIRECTORY = tarfile.DIRTYPE
    SYMLINK = tarfile.SYMTYPE
    HARDLINK = tarfile.LNKTYPE


@dataclass(frozen=True)
class Member:
    """An entry to write: `path` and a hard link's `target` are relative to the image's root, with /.

    A file's bytes come from the file `source`, through `transform` where there is one. `mtime` is in whole seconds.
    `uid` and `gid` are those of the owner; a layer that leaves them says root, so that equal trees give equal layers.
    """

    path: str
    kind: Kind
    mode: int = 0o644
    mtime: int = 0
    size: int = 0
    target: str = ""
    source: str | None = None
    transform: Callable[[bytes], bytes] | None = None
    xattrs: dict[str, bytes] = field(default_factory=dict)
    uid: int = 0
    gid: int = 0


def whiteout(path: str) -> Member:
    """The entry that says that `path` of a lower layer is gone."""
    folder, _, name = path.rpartition("/")
    return Member(f"{folder}/.wh.{name}" if folder else f".wh.{name}", Kind.FILE)


def leads_out(path: str, target: str) -> bool:
    """Whether a symbolic link at `path` may lead out of the image, wherever the other links in it lead.

    So `..` is only good at the beginning of `target`, where it climbs real folders.
    """
    parts = [part for part in target.split("/") if part not in ("", ".")]
    climbs = next((place for place, part in enumerate(parts) if part != ".."), len(parts))
    return target.startswith("/") or ".." in parts[climbs:] or climbs > path.count("/")


def padding(size: int) -> bytes:
    """What follows `size` bytes of content up to the next block."""
    return b"\0" * (-size % BLOCK)


def header(member: Member) -> bytes:
    """The tar header, pax where it must be."""
    return _plain_header(member) or _pax_header(member)


def _plain_header(member: Member) -> bytes | None:
    name = member.path + ("/" if member.kind is Kind.DIRECTORY else "")
    ids_fit = max(member.uid, member.gid) < _ID_LIMIT
    numbers_fit = ids_fit and 0 <= member.size < _OCTAL_LIMIT and 0 <= member.mtime < _OCTAL_LIMIT
    split = _split(name)
    if member.xattrs or not numbers_fit or split is None or not member.target.isascii() or len(member.target) > 100:
        return None
    return _pack(member, split[0].encode(), split[1].encode())


def _split(name: str) -> tuple[str, str] | None:
    """`name` as (prefix of at most 155 characters, rest of at most 100); None where it cannot be split so."""
    if not name.isascii():
        return None
    if len(name) <= 100:
        return "", name
    cut = name.rfind("/", 0, min(156, len(name) - 1))
    return (name[:cut], name[cut + 1 :]) if cut > 0 and len(name) - cut - 1 <= 100 else None


def _pack(member: Member, prefix: bytes, name: bytes) -> bytes:
    fields = (
        name, b"%07o" % member.mode, b"%07o" % member.uid, b"%07o" % member.gid, b"%011o" % member.size,
        b"%011o" % member.mtime, b"        ", member.kind.value, member.target.encode(), b"ustar\x0000", b"", b"",
        b"%07o" % 0, b"%07o" % 0, prefix,
    )  # fmt: skip
    block = _USTAR.pack(*fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _pax_header(member: Member) -> bytes:
    info = tarfile.TarInfo(member.path)
    info.type, info.mode, info.mtime, info.size = member.kind.value, member.mode, member.mtime, member.size
    info.uid, info.gid = member.uid, member.gid
    info.linkname = member.target
    decoded = {name: value.decode("utf-8", "surrogateescape") for name, value in sorted(member.xattrs.items())}
    info.pax_headers = {_XATTR + name: value for name, value in decoded.items()}
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def xattrs_of(info: tarfile.TarInfo) -> dict[str, bytes]:
    """The extended attributes that an entry read from a layer carries."""
    found = ((key.removeprefix(_XATTR), value) for key, value in info.pax_headers.items() if key.startswith(_XATTR))
    return {name: value.encode("utf-8", "surrogateescape") for name, value in found}
