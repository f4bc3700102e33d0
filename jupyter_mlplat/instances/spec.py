"""What an instance is made of, from its row."""

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.flavors.models import Flavor
from jupyter_mlplat.instances.store import InstanceRow


def spec_of(row: InstanceRow, flavor: Flavor, permit: str = "") -> InstanceSpec:
    """The spec that a back end works from."""
    return InstanceSpec(
        instance_id=row.id,
        owner=row.owner,
        name=row.name,
        image_id=row.image_id,
        image_digest=row.image_digest or "",
        image_reference=row.image_reference,
        image_name=row.image_name,
        flavor=flavor,
        permit=permit,
    )
