"""What goes wrong in a database, as errors of the platform."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection

from jupyter_mlplat.errors import AlreadyExists, BackendFailure, InvalidInput, MlplatError

log = logging.getLogger(__name__)

UNIQUE = "23505"
DATA = "22"
"""The SQLSTATE of a value that is taken, and the class of those for values that cannot be kept."""


@contextmanager
def in_words() -> Iterator[None]:
    """Raise what people can read in place of SQLAlchemy's errors; faults of our own statements stay as they are."""
    try:
        yield
    except (DBAPIError, NoConnection) as error:
        told = translated(error)
        if told is error:
            raise
        raise told from error


def translated(error: SQLAlchemyError) -> MlplatError | SQLAlchemyError:
    """What an error of the database means to who asked."""
    if isinstance(error, IntegrityError):
        taken = AlreadyExists("That name was taken in this moment. Choose another name.")
        return taken if _is_unique(error) else error
    if _is_about_a_value(error):
        return InvalidInput("A value cannot be kept: it holds a character, or is a number, that the database refuses.")
    if isinstance(error, ProgrammingError):
        return error
    log.warning("the database: %s", error)
    return BackendFailure("The database does not answer as it should. Try again soon.")


def _is_unique(error: IntegrityError) -> bool:
    return _state(error) == UNIQUE or "UNIQUE constraint failed" in str(error.orig)


def _is_about_a_value(error: SQLAlchemyError) -> bool:
    # asyncpg refuses some values before it sends them, with errors that are ValueErrors too
    cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig else None
    return isinstance(cause, ValueError) or _state(error).startswith(DATA)


def _state(error: SQLAlchemyError) -> str:
    return str(getattr(getattr(error, "orig", None), "sqlstate", "") or "")
