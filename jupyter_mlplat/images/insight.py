"""What is to be known of one image: what is in it, what it stands on, who uses it."""

from collections.abc import Collection, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.permissions import allowed
from jupyter_mlplat.advisories import store as advisories
from jupyter_mlplat.advisories.matching import vulnerabilities
from jupyter_mlplat.advisories.models import Vulnerability
from jupyter_mlplat.images import editions, store
from jupyter_mlplat.images.compare import compare_packages
from jupyter_mlplat.images.models import Image, ImageDetail, ImageParent, ImageUse, Package, PackageChanges
from jupyter_mlplat.images.sharing import is_shared
from jupyter_mlplat.images.store import ImageRow
from jupyter_mlplat.instances import store as instances
from jupyter_mlplat.jobs import store as jobs

SHOWN = 5
"""How many users of an image are named in a sentence."""


async def look_into(session: AsyncSession, actor: Actor, groups: Collection[str], row: ImageRow) -> ImageDetail:
    """The image in full, as far as `actor`, of those groups, may see it."""
    listed = (await store.listed(session, [row.id]))[row.id]
    packages = await editions.packages(session, row.digest)
    return ImageDetail(
        **listed.model_dump(),
        containerfile=row.containerfile,
        packages=packages,
        vulnerabilities=await _vulnerabilities(session, packages),
        changes=await _changes(session, row),
        parents=await _parents(session, actor, groups, row),
        layers=await editions.layers(session, row.digest),
        used_by=await users_of(session, actor, row) if row.owner == actor.user or actor.admin else [],
    )


async def _vulnerabilities(session: AsyncSession, packages: Sequence[Package]) -> list[Vulnerability] | None:
    """None where nobody can say: the packages are not known, or no advisories."""
    if not packages or not (await advisories.status(session)).count:
        return None
    return vulnerabilities(packages, await advisories.of_packages(session, [package.key for package in packages]))


def only_listed(detail: ImageDetail) -> Image:
    """An image without what is in it."""
    return Image.model_validate({name: getattr(detail, name) for name in Image.model_fields})


async def _changes(session: AsyncSession, row: ImageRow) -> PackageChanges | None:
    """How its packages differ from its parent's; None without a parent that is known."""
    if not row.digest or not row.parent_digest or not await editions.is_known(session, row.parent_digest):
        return None
    before = await editions.packages(session, row.parent_digest)
    return compare_packages(before, await editions.packages(session, row.digest))


async def _parents(session: AsyncSession, actor: Actor, groups: Collection[str], row: ImageRow) -> list[ImageParent]:
    chain = await editions.chain(session, row.parent_digest)
    listed = await store.listed(session, {edition.image_id for edition in chain})
    return [
        ImageParent(
            digest=edition.digest,
            name=edition.name,
            image_id=edition.image_id
            if _is_seen(actor, groups, listed.get(edition.image_id), edition.digest)
            else None,
        )
        for edition in chain
    ]


def _is_seen(actor: Actor, groups: Collection[str], image: Image | None, digest: str) -> bool:
    """Whether the image is in the caller's catalogue and still the edition `digest`."""
    if image is None or image.digest != digest:
        return False
    return allowed(actor, "image:read", image.owner, shared=is_shared(image, groups))


async def users_of(session: AsyncSession, actor: Actor, row: ImageRow) -> list[ImageUse]:
    """The instances and the unfinished jobs that need an image; those of others, if it is shared, without a name."""
    uses = [("instance", use.id, use.name, use.owner) for use in await instances.using_image(session, row.id)]
    working = await jobs.using_image(session, row.id)
    uses += [("job", job.id, job.label, job.owner) for job in working]
    return [
        ImageUse.model_validate({"noun": noun, "id": id, "name": name, "owner": owner})
        if allowed(actor, f"{noun}:read", owner)
        else ImageUse.model_validate({"noun": noun, "id": None, "name": None, "owner": owner})
        for noun, id, name, owner in uses
    ]


def in_words(uses: Sequence[ImageUse]) -> str:
    """Who uses an image, as a list in a sentence."""
    named = [use.name or f"{'an instance' if use.noun == 'instance' else 'one'} of {use.owner}" for use in uses]
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return ", ".join(named[:SHOWN]) + more
