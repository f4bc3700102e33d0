"""Temporary keys by STS AssumeRole, which may do no more than what a session policy says."""

import json
from collections.abc import Sequence
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.storage.engine.connection import Connection, Keys
from jupyter_mlplat.storage.engine.failures import Refused
from jupyter_mlplat.storage.engine.s3_bounds import bounded
from jupyter_mlplat.storage.engine.s3_errors import code_of, in_words
from jupyter_mlplat.storage.engine.sessions import session
from jupyter_mlplat.storage.object_urls import ObjectUrl

SECONDS = 3600
SHORTEST = 900
"""No STS gives keys for less."""

NO_ROLE = "arn:aws:iam::000000000000:role/mlplat"
"""Servers such as MinIO want one to be named and pay no heed to it."""

_POLICY_BYTES = 2048
_LOOK = ["s3:ListBucket", "s3:ListBucketVersions"]
_KNOW = ["s3:GetBucketLocation", "s3:GetBucketVersioning", "s3:ListBucketMultipartUploads"]
_OBJECTS = [
    "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion",
    "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts",
]  # fmt: skip


def session_policy(buckets: Sequence[str], prefix: str) -> str:
    """What temporary keys may do: work below `prefix` in `buckets`, in all of them where none is named.

    With neither, whatever the owner's may.
    """
    if not buckets and not prefix:
        statements = [_allow(["s3:*"], ["*"])]
    else:
        statements = _limited(buckets or ["*"], prefix)
        statements += [] if buckets else [_allow(["s3:ListAllMyBuckets"], ["*"])]
    text = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
    if len(text) > _POLICY_BYTES:
        raise InvalidInput("These are too many buckets for temporary keys. Make several endpoints, with some in each.")
    return text


def _limited(buckets: Sequence[str], prefix: str) -> list[dict[str, Any]]:
    look = _allow(_LOOK, buckets)
    if prefix:
        look["Condition"] = {"StringLike": {"s3:prefix": [f"{prefix}*"]}}
    return [look, _allow(_KNOW, buckets), _allow(_OBJECTS, [f"{bucket}/{prefix}*" for bucket in buckets])]


def _allow(actions: Sequence[str], resources: Sequence[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": [f"arn:aws:s3:::{one}" for one in resources]}


def temporary_keys(connection: Connection, role: str, policy: str, seconds: int = SECONDS) -> Keys:
    """Keys of the STS that this connection is to. Raises what `s3_errors` makes of botocore's errors."""
    with in_words(connection, ObjectUrl("")):
        try:
            given = bounded(_client(connection), connection).assume_role(
                RoleArn=role or NO_ROLE, RoleSessionName="mlplat", Policy=policy, DurationSeconds=seconds
            )["Credentials"]
        except ClientError as error:
            if code_of(error) != "AccessDenied":
                raise
            words = f"{connection.endpoint} gives no temporary keys for the access key {connection.access_key}."
            raise Refused(words) from error
    return Keys(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], given["Expiration"])


def _client(connection: Connection) -> Any:
    patience = {"total_max_attempts": connection.retries + 1, "mode": "standard"}
    return session().create_client(
        "sts",
        endpoint_url=connection.endpoint,
        aws_access_key_id=connection.access_key,
        aws_secret_access_key=connection.secret_key,
        region_name=connection.region,
        verify=(connection.authorities or True) if connection.verify else False,
        config=Config(connect_timeout=5, read_timeout=connection.timeout, retries=patience),
    )
