"""What botocore and obstore raise, in words that say which setting to change."""

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, SSLError
from botocore.parsers import ResponseParserError
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from jupyter_mlplat.errors import InUse, InvalidInput
from jupyter_mlplat.storage.engine import failures
from jupyter_mlplat.storage.engine.connection import Connection
from jupyter_mlplat.storage.object_urls import ObjectUrl

_CODE = re.compile(r"<Code>(\w+)</Code>")
_IS_CODE = re.compile(r"[A-Z][A-Za-z]{2,63}")
_NO_ANSWER = re.compile(r"error sending request|connection (closed|refused|reset)|timed out|dns error", re.IGNORECASE)
_CERTIFICATE = re.compile(r"certificate", re.IGNORECASE)

_THEIRS = (BotoCoreError, ClientError, ResponseParserError, BaseError, OSError, ValueError, KeyError)
_WORDS: dict[str, tuple[type[Exception], str]] = {
    "NoSuchBucket": (
        failures.NoSuchBucket,
        "There is no bucket {bucket} at {endpoint}. Check the name, and {address}.",
    ),
    "NoSuchUpload": (failures.NoSuchUpload, "The upload of {url} is over, or was given up at {endpoint}."),
    "NoSuchKey": (failures.NoSuchObject, "There is no object {url}."),
    "InvalidAccessKeyId": (
        failures.Refused,
        "{endpoint} does not know the access key {access}. Check {access_key}.",
    ),
    "SignatureDoesNotMatch": (
        failures.Refused,
        "The secret key does not belong to the access key {access} at {endpoint}. Check {secret_key}.",
    ),
    "ExpiredToken": (
        failures.Refused,
        "The temporary keys for {endpoint} have expired. {renewing}",
    ),
    "RequestTimeTooSkewed": (
        failures.Refused,
        "The clock of this machine differs from that of {endpoint} by more than 15 minutes. Set it right.",
    ),
    "AccessDenied": (
        failures.Refused,
        "The access key {access} may not do this with {url} at {endpoint}. Use keys that may, or ask its owner.",
    ),
    "ListingRefused": (failures.Refused, "The access key {access} may not list the buckets at {endpoint}. {naming}"),
    "BucketExists": (failures.ObjectExists, "There is a bucket {bucket} already. Choose another name."),
    "BucketNotEmpty": (InUse, "The bucket {bucket} is not empty. Delete what is in it first."),
    "PreconditionFailed": (failures.Changed, "{url} was replaced while it was read. Try again."),
    "ObjectExists": (failures.ObjectExists, "There is an object {url} already."),
    "KeyTooLongError": (InvalidInput, "The key of an object may have 1024 bytes; the one of {url} has more."),
    "InvalidBucketName": (InvalidInput, "{bucket!r} is no bucket name. It has 3 to 63 lower case letters and digits."),
    "Unreachable": (
        failures.StoreUnreachable,
        "{endpoint} does not answer. Check {address}, and the network.",
    ),
    "Certificate": (
        failures.StoreUnreachable,
        "The certificate of {endpoint} is not trusted here. {trusting}",
    ),
    "Busy": (failures.StoreUnreachable, "{endpoint} cannot answer just now. Try again later."),
    "NoAddress": (failures.NotConfigured, "{endpoint} is no address of an S3 endpoint. Check {address}."),
    "NotS3": (failures.StoreUnreachable, "What answers at {endpoint} does not speak S3. Check {address}."),
}
_BY_VARIABLES = {
    "address": "S3_ENDPOINT, or server= of mox.file.set_auth",
    "access_key": "AWS_ACCESS_KEY_ID, or ak= of mox.file.set_auth",
    "secret_key": "AWS_SECRET_ACCESS_KEY, or sk= of mox.file.set_auth",
    "renewing": "Set new ones: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.",
    "trusting": "Set AWS_CA_BUNDLE to a file with its authority (PEM).",
    "naming": "Name one: obs://BUCKET/.",
}
"""Where the settings of an error are; below, for an endpoint that the platform knows."""

_BY_ENDPOINT = {
    "address": "the address of the storage endpoint {name}",
    "access_key": "the access key of the storage endpoint {name}",
    "secret_key": "the secret key of the storage endpoint {name}",
    "renewing": "Try again, or test the storage endpoint {name}.",
    "trusting": "Give the storage endpoint {name} the certificate of its authority (PEM).",
    "naming": "Name the buckets that the storage endpoint {name} is to serve.",
}
_ALIKE = {
    "404": "NoSuchKey", "403": "AccessDenied", "Forbidden": "AccessDenied", "NotFound": "NoSuchKey",
    "AllAccessDisabled": "AccessDenied", "InvalidToken": "ExpiredToken", "InvalidSecurity": "AccessDenied",
    "BucketAlreadyExists": "BucketExists", "BucketAlreadyOwnedByYou": "BucketExists", "412": "PreconditionFailed",
    "TokenRefreshRequired": "ExpiredToken", "KeyTooLong": "KeyTooLongError",
    "ConditionalRequestConflict": "PreconditionFailed",
    "InvalidClientTokenId": "InvalidAccessKeyId", "InternalError": "Busy", "ServiceUnavailable": "Busy",
    "SlowDown": "Busy", "500": "Busy", "502": "Busy", "503": "Busy", "504": "Busy",
}  # fmt: skip


@dataclass(slots=True)
class in_words(AbstractContextManager[None]):  # noqa: N801  it reads as a function
    """Errors of the two libraries as ours. With `create` a failed precondition means that the object is there."""

    connection: Connection
    url: ObjectUrl
    create: bool = False

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, _THEIRS) or isinstance(error, failures.StoreError):
            return
        code = code_of(error)
        if self.create and code == "PreconditionFailed":
            code = "ObjectExists"
        if code is not None:
            raise explained(code, self.connection, self.url) from error


def explained(code: str, connection: Connection, url: ObjectUrl) -> Exception:
    """The error of ours for a code of S3."""
    if code == "AccessDenied" and not url.bucket:
        code = "ListingRefused"
    kind, words = _WORDS.get(code, (failures.StoreError, "{endpoint} refused what was asked of {url}{reason}."))
    # what answers need not be S3, and the platform repeats nothing of it to whoever chose the address
    reason = f" ({code})" if _IS_CODE.fullmatch(code) else ""
    facts = {"url": url, "bucket": url.bucket, "endpoint": connection.endpoint, "access": connection.access_key}
    return kind(words.format(reason=reason, **facts, **_settings(connection)))


def _settings(connection: Connection) -> dict[str, str]:
    if not connection.name:
        return _BY_VARIABLES
    return {part: words.format(name=connection.name) for part, words in _BY_ENDPOINT.items()}


def code_of(error: Exception) -> str | None:
    """S3's code for an error of either library, or one of ours; None for what is neither's."""
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", "?"))
        return _ALIKE.get(code, code)
    if isinstance(error, SSLError):
        return "Certificate"
    if isinstance(error, ConnectionError | HTTPClientError):
        return "Unreachable"
    if isinstance(error, ResponseParserError | KeyError):  # a KeyError: what must be in an answer is not
        return "NotS3"
    if isinstance(error, BotoCoreError):
        return "?"
    if isinstance(error, ValueError) and str(error).startswith("Invalid endpoint"):
        return "NoAddress"
    return _of_obstore(error)


def _of_obstore(error: Exception) -> str | None:
    text = str(error)
    if isinstance(error, (BaseError, FileNotFoundError)) and (match := _CODE.search(text)):
        return _ALIKE.get(match[1], match[1])
    if isinstance(error, FileNotFoundError):
        return "NoSuchKey" if error.errno is None else None  # one with a number is of a file of this machine
    for kind, code in _KINDS:
        if isinstance(error, kind):
            return code
    if not isinstance(error, BaseError):
        return None
    if _CERTIFICATE.search(text):
        return "Certificate"
    return "Unreachable" if _NO_ANSWER.search(text) else "?"


_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (PermissionDeniedError, "AccessDenied"),
    (UnauthenticatedError, "AccessDenied"),
    (AlreadyExistsError, "ObjectExists"),
    (PreconditionError, "PreconditionFailed"),
)
