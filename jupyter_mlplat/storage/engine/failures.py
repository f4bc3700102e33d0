"""Errors of object stores: each is one of the platform's error tree and what Python's own file functions raise.

StoreError (MlplatError, OSError)
├── NoSuchObject        NotFound, FileNotFoundError
│   ├── NoSuchBucket
│   └── NoSuchUpload                                     an upload in parts that is over, or was given up
├── Refused             NotAllowed, PermissionError      wrong or expired keys, rights that are missing
├── ObjectExists        AlreadyExists, FileExistsError
├── IsAFolder           Conflict, IsADirectoryError
├── FileAndFolder       Conflict                         one name cannot be both in a folder of this machine
├── Changed             Conflict                         the object was replaced while it was read
├── NoVersions          Conflict                         the store keeps none
├── StoreUnreachable    BackendFailure, ConnectionError
└── NotConfigured       InvalidInput                     nothing says which store, or with which keys
"""

import errno

from jupyter_mlplat.errors import (
    AlreadyExists,
    BackendFailure,
    Conflict,
    InvalidInput,
    MlplatError,
    NotAllowed,
    NotFound,
)


class StoreError(MlplatError, OSError):
    """Base of what goes wrong with an object store."""

    number: int | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.errno = self.number

    def __str__(self) -> str:
        return self.message


class NoSuchObject(StoreError, NotFound, FileNotFoundError):
    number = errno.ENOENT


class NoSuchBucket(NoSuchObject):
    pass


class NoSuchUpload(NoSuchObject):
    pass


class Refused(StoreError, NotAllowed, PermissionError):
    number = errno.EACCES


class ObjectExists(StoreError, AlreadyExists, FileExistsError):
    number = errno.EEXIST


class IsAFolder(StoreError, Conflict, IsADirectoryError):
    number = errno.EISDIR


class FileAndFolder(StoreError, Conflict):
    number = errno.ENOTDIR


class Changed(StoreError, Conflict):
    number = errno.ESTALE


class NoVersions(StoreError, Conflict):
    number = errno.ENOTSUP


class StoreUnreachable(StoreError, BackendFailure, ConnectionError):
    number = errno.EHOSTUNREACH


class NotConfigured(StoreError, InvalidInput):
    number = errno.EINVAL
