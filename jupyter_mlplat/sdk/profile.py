"""Which platform to talk to, and as whom."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from jupyter_mlplat.core.models import Model
from jupyter_mlplat.sdk.failures import NoProfile

SERVICE = "/services/mlplat"


class ProfileFile(Model):
    """`profile.json`, as `mlplat up` writes it."""

    url: str
    token: str
    user: str = ""


@dataclass(frozen=True)
class Profile:
    """Where the API is (`api`, ends with /v1) and the token to speak with.

    `origin` is the address that a browser uses, empty where it is not known. Inside an instance `instance_id` is its
    id and `server` the address of its own server.
    """

    api: str
    token: str = field(repr=False)
    user: str = ""
    origin: str = ""
    instance_id: str = ""
    server: str = ""

    @classmethod
    def of(cls, url: str, token: str, user: str = "") -> "Profile":
        """A profile from the platform's address, such as http://127.0.0.1:8000/services/mlplat."""
        service = url.rstrip("/").removesuffix("/v1")
        if not service.startswith(("http://", "https://")):
            raise NoProfile(f"{url!r} is no address. It looks like http://127.0.0.1:8000{SERVICE}.")
        if not service.endswith(SERVICE):
            service += SERVICE
        return cls(api=f"{service}/v1", token=token, user=user, origin=service.removesuffix(SERVICE))


def load_profile(environ: Mapping[str, str] = os.environ) -> Profile:
    """The profile in force. Raises NoProfile with what to do.

    MLPLAT_URL and MLPLAT_TOKEN come first; then, inside an instance, its own rights and no others; then the file
    that `mlplat up` wrote.
    """
    if environ.get("MLPLAT_URL"):
        return _from_variables(environ)
    if environ.get("MLPLAT_API") and environ.get("MLPLAT_INSTANCE_ID"):
        return _from_instance(environ)
    for path in profile_paths(environ):
        if path.is_file():
            return _from_file(path)
    raise NoProfile("No platform is known here. Start one with `mlplat up`, or set MLPLAT_URL and MLPLAT_TOKEN.")


def profile_paths(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Where a profile may lie, first come first served."""
    config = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "mlplat" / "profile.json"
    if environ.get("MLPLAT_DATA_DIR"):
        return [Path(environ["MLPLAT_DATA_DIR"]) / "profile.json", config]
    return [config]


def _from_variables(environ: Mapping[str, str]) -> Profile:
    token = environ.get("MLPLAT_TOKEN")
    if not token:
        raise NoProfile("MLPLAT_URL is set but MLPLAT_TOKEN is not. Set it to a token of yours on that platform.")
    return Profile.of(environ["MLPLAT_URL"], token)


def _instance_token(environ: Mapping[str, str]) -> str:
    """The instance's own token. Its processes do not have it in their variables, but in a file of the server's."""
    if environ.get("JUPYTERHUB_API_TOKEN"):
        return environ["JUPYTERHUB_API_TOKEN"]
    try:
        private = environ.get("MLPLAT_PRIVATE") or Path(environ["MLPLAT_RUNTIME"]).parent
        return Path(private, "token").read_text().strip()
    except (KeyError, OSError) as error:
        raise NoProfile("The token of this instance cannot be read. Restart the instance, then try again.") from error


def _from_instance(environ: Mapping[str, str]) -> Profile:
    return Profile(
        api=environ["MLPLAT_API"].rstrip("/"),
        token=_instance_token(environ),
        user=environ.get("JUPYTERHUB_USER", ""),
        origin=environ.get("JUPYTERHUB_PUBLIC_HUB_URL", "").rstrip("/").removesuffix("/hub"),
        instance_id=environ.get("MLPLAT_INSTANCE_ID", ""),
        server=environ.get("JUPYTERHUB_SERVICE_URL", "").rstrip("/"),
    )


def _from_file(path: Path) -> Profile:
    try:
        found = ProfileFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise NoProfile(f"{path} cannot be read as a profile. Run `mlplat up` again to write a new one.") from error
    return Profile.of(found.url, found.token, found.user)
