"""Files here and in object storage under one API, for those who know moxing.

    import jupyter_mlplat.mox as mox

    mox.file.copy_parallel("obs://bucket/digits", "/tmp/digits")
    mox.file.shift("os", "mox")        # from here on open, os and shutil take obs:// paths too

docs/file-api.md says what works and what differs. Nothing heavy is imported before the first object is touched.
"""

from jupyter_mlplat.mox import file

__all__ = ["file"]
