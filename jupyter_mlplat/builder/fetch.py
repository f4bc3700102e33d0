"""Brings what a build needs into its pod: the folder, the Containerfile, the images below; `ready` comes last."""

import hashlib
import json
from pathlib import Path

from jupyter_mlplat.builder.messages import Beginning, Below
from jupyter_mlplat.builder.places import Places
from jupyter_mlplat.jobs.bundle import unpack
from jupyter_mlplat.jobs.survey import Limits
from jupyter_mlplat.oci.manifest import INDEX, REF_NAME, Manifest, hex_of
from jupyter_mlplat.runner.courier import Courier


def fetch(courier: Courier, places: Places, beginning: Beginning) -> None:
    """Bring everything. Raises InvalidInput or TooLarge for a folder that cannot be unpacked."""
    bundle = places.incoming / ".bundle"
    courier.download("bundle", bundle)
    unpack(bundle, places.context, Limits(files=beginning["files"], total_bytes=beginning["total_bytes"]))
    bundle.unlink()
    places.containerfile.write_text(beginning["containerfile"])
    for number, base in enumerate(beginning["bases"]):
        _base(courier, number, base, places.base(number))
    names = [f"{number} {base['name']}\n" for number, base in enumerate(beginning["bases"])]
    places.bases.write_text("".join(names))
    places.ready.touch()


def _base(courier: Courier, number: int, base: Below, layout: Path) -> None:
    """An image as an OCI layout, in which it is called `base`; buildah checks the blobs."""
    data = base["manifest"].encode()
    manifest = Manifest.parse(data)
    blobs = layout / "blobs" / "sha256"
    for blob in {blob.digest: blob for blob in (manifest.config, *manifest.layers)}.values():
        courier.download(f"bases/{number}/blobs/{blob.digest}", blobs / hex_of(blob.digest))
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    entry = {
        "mediaType": base["media_type"],
        "digest": f"sha256:{digest}",
        "size": len(data),
        "annotations": {REF_NAME: "base"},
    }
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
    (layout / "index.json").write_text(json.dumps(index))
    (layout / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
