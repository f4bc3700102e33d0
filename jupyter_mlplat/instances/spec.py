"""What an instance is made of, from its rows."""

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.flavors.models import Flavor
from jupyter_mlplat.images.store import ImageRow
from jupyter_mlplat.instances.store import InstanceRow


def spec_of(row: InstanceRow, image: ImageRow, flavor: Flavor, permit: str = "") -> InstanceSpec:
    """The spec that a back end works from."""
    return InstanceSpec(
        instance_id=row.id,
        owner=row.owner,
        name=row.name,
        image_id=image.id,
        image_digest=image.digest or "",
        image_reference=image.reference,
        image_name=image.full_name,
        flavor=flavor,
        permit=permit,
    )
