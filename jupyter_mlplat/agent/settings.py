"""Settings of a node agent, from `MLPLAT_AGENT_…` environment variables."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from jupyter_mlplat.oci.registry_access import RegistryAccess


class AgentSettings(BaseSettings):
    """`snapshots` and `socket` are the node's own, at the same paths in the agent's pod."""

    model_config = SettingsConfigDict(env_prefix="MLPLAT_AGENT_", extra="ignore")

    secret: SecretStr = Field(min_length=16, description="Shared with the platform")
    node: str = Field(description="The name of the node, as in the pods' nodeName")
    namespace: str = Field(default="mlplat-users", description="The namespace whose containers may be saved")
    host: str = "0.0.0.0"  # noqa: S104
    port: int = 8012
    socket: Path = Path("/run/containerd/containerd.sock")
    snapshots: Path = Path("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs")
    state: Path = Field(default=Path("/var/lib/mlplat-agent"), description="Remembers the layers that are uploaded")
    left_out: Path | None = Field(default=None, description="More patterns, as in .gitignore, that no image may hold")
    saves: int = Field(default=2, ge=1, description="Images that are saved at a time")
    layers: int = Field(default=2, ge=1, le=8, description="Layers of one image that are written at a time")

    registry: str = Field(description="Where images are kept: HOST:PORT/PREFIX, or HOST:PORT")
    registry_insecure: bool = Field(default=False, description="Plain HTTP, for trials")
    registry_ca: Path | None = None
    registry_user: str = ""
    registry_password: SecretStr = SecretStr("")

    @property
    def access(self) -> RegistryAccess:
        address = self.registry.partition("/")[0]
        password = self.registry_password.get_secret_value()
        return RegistryAccess(address, self.registry_insecure, self.registry_ca, self.registry_user, password)

    @property
    def prefix(self) -> str:
        """What the names of all repositories begin with that images are saved to; may be empty."""
        path = self.registry.partition("/")[2].strip("/")
        return f"{path}/" if path else ""

    @property
    def more_left_out(self) -> list[str]:
        return self.left_out.read_text().splitlines() if self.left_out else []
