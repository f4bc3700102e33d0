"""What runs in the pod of a build beside buildah: it brings the files, and sends away what comes of them."""
