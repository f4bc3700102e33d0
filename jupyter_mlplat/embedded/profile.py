"""The profile with which the command line speaks to this platform as its owner."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from jupyter_mlplat.embedded.files import read_json, write_json
from jupyter_mlplat.embedded.parts import Plan
from jupyter_mlplat.embedded.probes import Probes
from jupyter_mlplat.hub.roles import SERVICE


async def ensure_profile(plan: Plan, probes: Probes) -> None:
    """Write `profile.json` with a token that works; a valid one is kept."""
    path = plan.folder.profile
    known = read_json(path) or {}
    token = known.get("token") if isinstance(known, dict) else None
    if not token or not await probes.is_owner_token(token):
        token = await probes.new_owner_token()
    write_json(path, {"url": f"{plan.public_url}/services/{SERVICE}", "token": token, "user": plan.owner})


def point_to(profile: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Make the person's own configuration folder point to this profile. A home that cannot be written is no error."""
    config = Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "mlplat"
    link, draft = config / "profile.json", config / f".profile.{os.getpid()}"
    with suppress(OSError):
        config.mkdir(parents=True, exist_ok=True)
        if link.exists() and not link.is_symlink():
            link.replace(config / "profile.previous.json")
        draft.symlink_to(profile)
        draft.replace(link)
