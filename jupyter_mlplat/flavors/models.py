"""Flavors: what an instance or a job may use of the machine."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from jupyter_mlplat.core.models import Model


class Category(StrEnum):
    CPU = "CPU"
    GPU = "GPU"
    ASCEND = "ASCEND"


class Accelerator(Model):
    """`count` devices of one type, each with `memory_mib` MiB."""

    type: str
    count: int = Field(ge=1)
    memory_mib: int = Field(default=0, ge=0)


class Flavor(Model):
    """One line of the catalogue. `vcpus` are CPU cores, `memory_mib` is in MiB."""

    id: str
    name: str
    arch: Literal["x86_64", "aarch64"] = "x86_64"
    category: Category = Category.CPU
    vcpus: int = Field(ge=1)
    memory_mib: int = Field(ge=1)
    accelerator: Accelerator | None = None

    @property
    def gpus(self) -> int:
        """How many GPUs it has; accelerators of other kinds do not count."""
        return self.accelerator.count if self.accelerator and self.category is Category.GPU else 0


class FlavorOffer(Flavor):
    """A flavor as it can be had now; sold out ones say why. `enforced` names the limits that this machine can hold."""

    sold_out: bool = False
    reason: str | None = None
    enforced: list[Literal["cpu", "memory", "accelerator"]] = []


class Effect(StrEnum):
    """What a switch to a flavor does to a running instance."""

    CURRENT = "current"
    LIVE = "live"
    RESTART = "restart"


class FlavorChoice(Model):
    """A flavor that an instance may switch to, and what that does."""

    flavor: FlavorOffer
    effect: Effect
    note: str = Field(description="The effect in words, for the person who chooses")
