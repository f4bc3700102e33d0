"""Settings of the platform process, from `MLPLAT_…` environment variables."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where the platform keeps its data, where the Hub is, and the limits in force. Sizes are in bytes."""

    model_config = SettingsConfigDict(env_prefix="MLPLAT_", extra="ignore")

    data_dir: Path
    host: str = Field(default="127.0.0.1", description="The address to listen on; in a pod 0.0.0.0")
    port: int = 8011
    public_url: str = "http://127.0.0.1:8000"
    service_prefix: str = "/services/mlplat/"
    database_url: str | None = None
    backend: Literal["local", "kubernetes", "memory"] = "local"
    hub_api_url: str = "http://127.0.0.1:8081/hub/api"
    hub_api_token: SecretStr = SecretStr("")
    hub_secret: SecretStr = SecretStr("")
    owner: str = ""
    admins: list[str] = Field(default=[], description="Platform administrators besides the owner")
    flavor_catalog: Path | None = None
    instance_quota: int = 10
    running_job_quota: int = 100
    work_gib_limit: int = Field(default=100, ge=1, description="GiB that a work folder may grow to")
    job_nodes: int = Field(default=1, ge=1, le=64, description="How many nodes one job may have")
    running_build_quota: int = Field(default=2, ge=1, description="Images that a user may have built at a time")
    bundle_bytes: int = 5 * 1024**3
    bundle_files: int = 1000
    storage_keys: SecretStr = Field(
        default=SecretStr(""),
        description="What the secrets of storage endpoints are encrypted with, the newest first, separated by commas",
    )

    storage_addresses: list[str] = Field(
        default=[],
        description="Hosts and networks where the storage endpoints of users may be; any where none is named",
    )

    import_addresses: list[str] = Field(
        default=[],
        description="Hosts and networks that files may be imported from besides the public internet",
    )

    ssh_host: str = Field(default="127.0.0.1", description="Where people reach the SSH gateway")
    ssh_port: int = Field(default=0, description="The port of the SSH gateway; 0 where there is none")
    ssh_host_key: str = Field(
        default="", description="Its public host key; without one it follows from the secret of gateways"
    )
    ssh_absent: str = Field(default="", description="Why there is no SSH gateway, in words")
    gateway_secret: SecretStr = SecretStr("")
    ssh_key_quota: int = Field(default=100, ge=1, description="SSH keys that a user may have")

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'platform.db'}"

    def is_admin(self, user: str) -> bool:
        return user == self.owner or user in self.admins
