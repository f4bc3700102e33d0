"""Object storage."""

from collections.abc import Iterator
from pathlib import Path

from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.sdk import copying
from jupyter_mlplat.sdk.copying import Copied, Told
from jupyter_mlplat.sdk.wire import Wire
from jupyter_mlplat.storage.engine.base import ObjectFacts, ObjectStore
from jupyter_mlplat.storage.engine.places import Places
from jupyter_mlplat.storage.models import LOCAL, Link, ObjectInfo
from jupyter_mlplat.storage.object_urls import ObjectUrl


class Storage:
    """`client.storage`. Objects are named by obs://BUCKET/KEY (or s3://BUCKET/KEY), whichever endpoint they are at."""

    def __init__(self, wire: Wire) -> None:
        self._places = Places(wire.profile)

    def list(self, url: str, *, recursive: bool = False) -> Iterator[ObjectInfo]:
        """What lies below a path: objects, and unless `recursive` the folders (common prefixes) as such."""
        place = ObjectUrl.parse(url)
        for page in self._store(place).pages(place, flat=recursive):
            folders = [
                ObjectInfo(key=f"{place.bucket}/{name}", size=0, modified_at=None, is_prefix=True)
                for name in page.folders
            ]
            found = [_info(place.bucket, facts) for facts in page.objects]
            yield from sorted([*found, *folders], key=lambda one: one.key)

    def stat(self, url: str) -> ObjectInfo:
        """Size and time of one object. NotFound where there is none."""
        place = ObjectUrl.parse(url)
        return _info(place.bucket, self._store(place).head(place))

    def upload(self, path: str | Path, url: str) -> ObjectInfo:
        """One file to one object, replacing what is there once it is complete."""
        place = ObjectUrl.parse(url)
        self._store(place).upload(Path(path), place)
        return self.stat(url)

    def download(self, url: str, path: str | Path) -> Path:
        """One object to one file, replacing what is there once it is complete."""
        place = ObjectUrl.parse(url)
        self._store(place).download(place, Path(path))
        return Path(path)

    def copy(self, source: str, target: str, *, recursive: bool = False, told: Told | None = None) -> Copied:
        """Copy between the two paths, of which at least one is an object's, replacing what is there.

        A target that is a folder (an existing one, or one that ends with /) keeps the source's name; with `recursive`
        what lies below the source goes below the target. A copy that broke off goes on where the same is asked again.
        BackendFailure names what could not be copied; the others are.
        """
        return copying.carry_out(
            copying.order_of(source, target, self._places, recursive=recursive), self._places, told
        )

    def sync(self, source: str, target: str, *, delete: bool = False, told: Told | None = None) -> Copied:
        """Copy what differs (another size, or younger) from a folder to another; with `delete` what it lacks goes."""
        return copying.carry_out(copying.sync_of(source, target, delete=delete), self._places, told)

    def remove(self, url: str, *, recursive: bool = False) -> int:
        """Delete an object, or with `recursive` all below a path; how many objects that were."""
        place = ObjectUrl.parse(url)
        if place.is_folder and not recursive:
            raise InvalidInput(f"{place} is a folder. Delete it with all below it by -r.")
        store = self._store(place)
        if recursive:
            return store.delete_below(place)
        store.remove(place)
        return 1

    def link(self, url: str, seconds: int) -> Link:
        """An address from which anybody can get the object, without a login; the built-in store gives none."""
        place = ObjectUrl.parse(url)
        address, ends = self._store(place).link(place, seconds)
        return Link(url=address, expires_at=ends)

    def make_bucket(self, bucket: str, endpoint: str = LOCAL) -> None:
        """In the built-in store, or at an endpoint of the user's."""
        self._places.store_at(endpoint).make_bucket(bucket)

    def remove_bucket(self, bucket: str) -> None:
        """Remove an empty bucket."""
        self._places.store_for(bucket).remove_bucket(bucket)

    def _store(self, place: ObjectUrl) -> ObjectStore:
        return self._places.store_for(place.bucket)


def _info(bucket: str, facts: ObjectFacts) -> ObjectInfo:
    return ObjectInfo(key=f"{bucket}/{facts.key}", size=facts.size, modified_at=facts.modified_at)
