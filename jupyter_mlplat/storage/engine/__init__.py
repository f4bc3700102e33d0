"""Bytes of objects from wherever they lie: one abstract store, S3 and the built-in store behind it.

Nothing here is loaded by the platform: `jupyter_mlplat.mox` and the fsspec file system stand on it. botocore and
obstore are imported where the first S3 store is made.
"""
