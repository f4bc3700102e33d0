"""Quotas: how much of each noun a user may have at a time."""

from typing import Literal

from jupyter_mlplat.core.models import Model


class Quota(Model):
    """`used` of `limit`; of jobs those count that have not ended."""

    noun: Literal["instance", "job"]
    used: int
    limit: int
