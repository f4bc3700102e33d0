"""What the spawners ask the platform: what a permit stands for, and whether an instance is to run."""

from dataclasses import fields
from typing import Any
from urllib.parse import quote

import aiohttp
from jupyterhub.httpclient import fetch
from jupyterhub.spawner import SpawnException

from jupyter_mlplat.backends.base import ServerLaunch

NO_PERMIT = (
    "A server is started by the platform only: start the instance in the console or with `mlplat instance start`. "
    "(The request carries no permit, or one that has been used or is not known.)"
)
UNREACHABLE = "The platform does not answer, so the instance cannot be started now. Try again in a moment."
FIELDS = frozenset(field.name for field in fields(ServerLaunch))


async def redeem(platform_url: str, secret: str, user_options: Any, owner: str, name: str) -> ServerLaunch:
    """What to start for `owner`'s server `name`. The permit in `user_options` is used up by this.

    Raises SpawnException: 403 without a valid permit for this very server, 503 if the platform does not answer.
    """
    permit = user_options.get("permit") if isinstance(user_options, dict) else None
    if not isinstance(permit, str) or not permit:
        raise SpawnException(NO_PERMIT, reason="no-permit", status_code=403)
    launch = await _trade(f"{platform_url}/internal/permits/{quote(permit, safe='')}/redeem", secret)
    if (launch.owner, launch.instance_id) != (owner, name):
        raise SpawnException(NO_PERMIT, reason="foreign-permit", status_code=403)
    return launch


async def is_wanted(platform_url: str, secret: str, name: str) -> bool:
    """Whether the platform wants the instance to run. If it cannot be asked, yes: it ends what it does not want."""
    url = f"{platform_url}/internal/instances/{quote(name, safe='')}/wanted"
    try:
        answer = await fetch(url, headers={"Authorization": f"hub {secret}"}, raise_for_status=False)
        return answer.status != 200 or bool((await answer.json())["wanted"])
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError):
        return True


async def _trade(url: str, secret: str) -> ServerLaunch:
    try:
        answer = await fetch(url, method="POST", headers={"Authorization": f"hub {secret}"}, raise_for_status=False)
        if answer.status == 200:
            content = await answer.json()
            return ServerLaunch(**{name: value for name, value in content.items() if name in FIELDS})
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, TypeError) as error:
        raise SpawnException(UNREACHABLE, reason="platform", log_message=str(error), status_code=503) from error
    if answer.status >= 500:
        raise SpawnException(UNREACHABLE, reason="platform", status_code=503)
    raise SpawnException(NO_PERMIT, reason="bad-permit", status_code=403)
