"""Names of images: a tag is given once."""

from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.errors import AlreadyExists
from jupyter_mlplat.images import store
from jupyter_mlplat.images.prepare import PLATFORM


async def check_name(session: AsyncSession, owner: str, name: str, tag: str) -> None:
    """AlreadyExists where the owner, or the platform with a preset, has an image of that name and tag."""
    for holder in (owner, PLATFORM):
        if await store.named(session, holder, name, tag):
            raise AlreadyExists(f"There is an image {name}:{tag} already. Choose another name or tag.")
