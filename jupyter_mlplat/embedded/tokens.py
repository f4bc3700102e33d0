"""Tokens with which people speak to the platform from a shell."""

import asyncio
from pathlib import Path

import httpx

from jupyter_mlplat.embedded.folder import DataFolder
from jupyter_mlplat.embedded.record import read_record
from jupyter_mlplat.embedded.secret_files import load_or_create
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.hub.roles import owner_token_scopes


async def new_token(client: httpx.AsyncClient, hub_api_url: str, supervisor_token: str, user: str) -> str:
    """A token of `user`, who becomes known to the Hub. BackendFailure if the Hub refuses."""
    headers = {"Authorization": f"token {supervisor_token}"}
    address = f"{hub_api_url}/users/{user}"
    known = await client.post(address, headers=headers)
    wanted = {"note": "mlplat command line", "scopes": owner_token_scopes(user)}
    made = await client.post(f"{address}/tokens", headers=headers, json=wanted)
    if known.status_code not in (201, 409) or made.status_code != 201:
        raise BackendFailure(
            f"The Hub makes no token for {user} ({known.status_code}, {made.status_code}): {made.text[:300]}"
        )
    token: str = made.json()["token"]
    return token


def user_token(data_dir: Path, user: str) -> str:
    """A token for a further user of the platform in `data_dir`, which must be running."""
    folder = DataFolder.at(data_dir)
    record = read_record(folder)
    secret = load_or_create(folder.secrets).supervisor_token

    async def ask() -> str:
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            return await new_token(client, f"{record.url}/hub/api", secret, user)

    try:
        return asyncio.run(ask())
    except httpx.HTTPError as error:
        raise BackendFailure("The platform does not answer. Start it with `mlplat up`, then try again.") from error
