"""Mounts: folders of buckets that a running instance sees as files."""
