"""Endpoints as they are added and changed, and the keys that they give."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from jupyter_mlplat.core.models import Line, Model, Moment, ResourceName, Word
from jupyter_mlplat.core.text import refused, shown
from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.storage import keys
from jupyter_mlplat.storage.engine.connection import endpoint_url
from jupyter_mlplat.storage.models import LOCAL, Provider

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


def _address(text: str) -> str:
    try:
        return endpoint_url(text, None, secure=True)
    except (InvalidInput, ValueError):
        words = f"{shown(text)} is no address of an endpoint. It looks like https://s3.example.org:9000"
        raise refused(words) from None


def _bucket(name: str) -> str:
    try:
        keys.check_bucket(name)
    except InvalidInput as error:
        raise refused(error.message) from None
    return name


def _prefix(text: str) -> str:
    text = text.lstrip("/")
    return f"{text}/" if text and not text.endswith("/") else text


def _pem(text: str) -> str:
    text = text.strip()
    if text and not _CERTIFICATE.search(text):
        raise refused("this is no certificate in PEM: it begins with -----BEGIN CERTIFICATE-----")
    if text and not _readable(text):
        raise refused("this certificate cannot be read: take the whole file as it is")
    return f"{text}\n" if text else ""


def _readable(pem: str) -> bool:
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return bool(load_pem_x509_certificates(pem.encode()))
    except ValueError:
        return False


def _not_local(name: str) -> str:
    if name == LOCAL:
        raise refused(f"{LOCAL!r} is the name of the built-in endpoint; choose another one")
    return name


Address = Annotated[Line, AfterValidator(_address)]
Bucket = Annotated[Word, AfterValidator(_bucket)]
Prefix = Annotated[Line, AfterValidator(_prefix)]
Pem = Annotated[str, StringConstraints(max_length=64 * 1024), AfterValidator(_pem)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=400)]
AccessKey = Annotated[Line, StringConstraints(min_length=1)]
KeysGiven = Literal["none", "own", "temporary"]


class EndpointAdd(Model):
    """`region` and `path_style` follow from the address unless given; `sts_address` is the endpoint's unless given.

    `keys`: `temporary` gives instances keys of an hour by STS, limited to `buckets` and `prefix`; `own` lets the
    endpoint's own keys leave the platform; `none` keeps them here, so that instances cannot use the endpoint.
    """

    name: Annotated[ResourceName, AfterValidator(_not_local)]
    provider: Literal["s3", "obs"] = "s3"
    address: Address
    region: Word = ""
    path_style: bool | None = None
    authorities: Pem = ""
    buckets: list[Bucket] = Field(default=[], max_length=100)
    prefix: Prefix = ""
    access_key: AccessKey
    secret_key: Secret
    keys: KeysGiven = "none"
    sts_address: Address | Literal[""] = ""
    sts_role: Line = ""


class EndpointChange(Model):
    """What is not given stays. New keys come in pairs, and are needed for another address."""

    address: Address | None = None
    region: Word | None = None
    path_style: bool | None = None
    authorities: Pem | None = None
    buckets: Annotated[list[Bucket], Field(max_length=100)] | None = None
    prefix: Prefix | None = None
    access_key: AccessKey | None = None
    secret_key: Secret | None = None
    keys: KeysGiven | None = None
    sts_address: Address | Literal[""] | None = None
    sts_role: Line | None = None
    groups: Annotated[list[Line], Field(max_length=100)] | None = Field(
        default=None, description="Those whose members may use it, with the keys that it gives to instances"
    )


class BucketPlace(Model):
    """The endpoint that a bucket is at."""

    bucket: str
    endpoint: str


class CredentialsAsked(Model):
    """One of the two."""

    endpoint: Line | None = None
    bucket: Line | None = None


class Credentials(Model):
    """How to reach an endpoint, and keys for it. Ask again before `expires_at`, when others may be needed.

    The built-in endpoint has no keys: it is reached over this API.
    """

    endpoint: str
    provider: Provider
    address: str = ""
    region: str = ""
    path_style: bool = True
    authorities: str = Field(default="", description="Certificates of its own authorities, in PEM")
    prefix: str = ""
    access_key: str = ""
    secret_key: str = Field(default="", repr=False)
    token: str | None = Field(default=None, repr=False)
    expires_at: Moment | None = None
