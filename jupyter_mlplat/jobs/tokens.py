"""Tokens of jobs on a cluster: good for one attempt of one job, for nothing but what its own pods do."""

import hashlib
import hmac
import json
from dataclasses import dataclass


class JobTokens:
    """Made and checked with a secret that only the platform (and the Hub, which it trusts) knows."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), b"mlplat jobs", "sha256") if secret else b""

    def of(self, job_id: str, attempt: int) -> str:
        """The token of an attempt. ValueError without a secret: anybody could make such a token."""
        if not self._key:
            raise ValueError("the platform has no secret to make tokens with")
        words = f"{job_id} {attempt}".encode()
        return f"{attempt}.{hmac.new(self._key, words, hashlib.sha256).hexdigest()}"

    def attempt_of(self, token: str, job_id: str) -> int | None:
        """The attempt of this job that a token is for; None for any other token."""
        number = token.partition(".")[0]
        if not self._key or not (number.isascii() and number.isdecimal() and len(number) < 6):
            return None
        attempt = int(number)
        return attempt if hmac.compare_digest(token.encode(), self.of(job_id, attempt).encode()) else None


@dataclass(frozen=True)
class JobLine:
    """How a job on this machine reaches the platform: `api` is the address of its `/v1`."""

    api: str
    tokens: JobTokens

    def words(self, job_id: str, attempt: int) -> bytes:
        """What its runner reads from standard input."""
        return json.dumps({"api": self.api, "token": self.tokens.of(job_id, attempt)}).encode()
