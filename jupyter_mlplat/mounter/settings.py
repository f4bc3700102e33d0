"""Settings of a node's mounter, from `MLPLAT_MOUNTER_…` environment variables."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from jupyter_mlplat.mounter.mounts import Layout


class MounterSettings(BaseSettings):
    """`root` is a folder of the node, at the same path in the mounter's pod, mounted there as Bidirectional."""

    model_config = SettingsConfigDict(env_prefix="MLPLAT_MOUNTER_", extra="ignore")

    secret: SecretStr = Field(min_length=16, description="Shared with the platform")
    node: str = Field(description="The name of the node, as in the pods' nodeName")
    host: str = "0.0.0.0"  # noqa: S104
    port: int = 8013
    root: Path = Path("/var/lib/mlplat-mounts")
    run: Path = Field(default=Path("/run/mlplat-mounter"), description="Settings and keys: in memory")
    cache: Path = Field(default=Path("/var/cache/mlplat-mounter"), description="What is not at its endpoint yet")
    user: int = Field(default=1000, description="The uid of people in instances")

    @property
    def layout(self) -> Layout:
        return Layout(self.root, self.run, self.cache, self.user, for_others=True)
