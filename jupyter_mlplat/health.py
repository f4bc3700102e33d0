"""Whether this process can serve: for the probes of a cluster, at the root and so not reachable through the proxy."""

from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from jupyter_mlplat import __version__
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.http import Services, get_parts

router = APIRouter(include_in_schema=False)


@router.get("/health")
async def alive() -> dict[str, str]:
    """The process answers; nothing else is asked."""
    return {"version": __version__}


@router.get("/health/ready")
async def ready(parts: Annotated[Services, Depends(get_parts)]) -> dict[str, str]:
    """The database answers, so requests can be served. 503 where it does not."""
    try:
        async with parts.database.read() as session:
            await session.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError) as error:
        raise BackendFailure(f"The database does not answer ({type(error).__name__}).") from error
    return {"version": __version__}
