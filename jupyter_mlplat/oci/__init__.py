"""OCI content: layers, manifests and an image layout on disk. Knows nothing of Python environments or of back ends."""
