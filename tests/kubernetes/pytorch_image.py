"""An image for users with PyTorch and scikit-learn (CPU, of Debian), made where the registry has none of this base."""

from pathlib import Path

import httpx
from kubectl import MANIFESTS, command

CONTEXT = Path(__file__).with_name("pytorch")
NAME = "mlplat/pytorch-test"


def torch_image(registry: str, users: str) -> str:
    """Its reference by digest; `users` is the reference of the image that it is made from."""
    tag = users.rpartition(":")[2][:12]
    digest = _digest(registry, tag)
    if digest is None:
        _build(f"{registry}/{NAME}:{tag}", users)
        digest = _digest(registry, tag)
    return f"{registry}/{NAME}@{digest}"


def _digest(registry: str, tag: str) -> str | None:
    answer = httpx.head(f"http://{registry}/v2/{NAME}/manifests/{tag}", headers={"Accept": MANIFESTS})
    return str(answer.headers["Docker-Content-Digest"]) if answer.is_success else None


def _build(reference: str, users: str) -> None:
    buildah = ["env", "STORAGE_DRIVER=overlay", "BUILDAH_ISOLATION=chroot", "buildah"]
    build = [*buildah, "bud", "--quiet", "--format", "oci", "--tls-verify=false", "--build-arg", f"USERS={users}"]
    command(*build, "--tag", reference, str(CONTEXT), timeout=900)
    # gzip would take minutes for so much
    quick = ["--compression-format", "zstd", "--compression-level", "1"]
    command(*buildah, "push", "--quiet", "--tls-verify=false", *quick, reference, timeout=300)
