"""How two images differ. Pure."""

from collections.abc import Sequence

from jupyter_mlplat.images.models import Layer, Package, PackageChange, PackageChanges


def compare_packages(old: Sequence[Package], new: Sequence[Package]) -> PackageChanges:
    """What `new` has that `old` has not, what it lacks, and what it has in another version; each by name."""
    before, after = ({package.key: package for package in packages} for packages in (old, new))
    both = sorted(before.keys() & after.keys())
    changed = [key for key in both if before[key].version != after[key].version]
    return PackageChanges(
        added=[after[key] for key in sorted(after.keys() - before.keys())],
        removed=[before[key] for key in sorted(before.keys() - after.keys())],
        changed=[
            PackageChange(name=after[key].name, old=before[key].version, new=after[key].version) for key in changed
        ],
        same=len(both) - len(changed),
    )


def shared_layers(one: Sequence[Layer], other: Sequence[Layer]) -> int:
    """How many layers, from the lowest on, two images have in common."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine.digest != theirs.digest:
            break
        count += 1
    return count
