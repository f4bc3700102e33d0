"""What is on the web becomes a file or a folder, whole or not at all."""

import os
import shutil
import tarfile
from pathlib import Path

from jupyter_mlplat.errors import InvalidInput, TooLarge
from jupyter_mlplat.storage.engine.landing import put_all
from jupyter_mlplat.storage.transfers.parts import Journal, Moved
from jupyter_mlplat.storage.transfers.web import Meant, opened

MOST_FILES = 200_000
MOST_BYTES = 64 << 30


def bring(source: Meant, path: Path, partial: Path, journal: Journal, moved: Moved) -> None:
    """Fetch to `partial`, of which the journal tells first, then put it, or the folder packed in it, at `path`."""
    journal.begin({"partial": str(partial)})
    _fetch(source.url, partial, moved)
    if source.unpack:
        unpacked = Path(f"{partial}.d")
        _unpack(partial, unpacked)
        _the_one_folder(unpacked).rename(path)
    else:
        partial.replace(path)


def _fetch(url: str, partial: Path, moved: Moved) -> None:
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        with opened(url) as answer:
            offset = 0
            for piece in answer.pieces():
                put_all(descriptor, piece, offset)
                offset += len(piece)
                moved(len(piece))
    finally:
        os.close(descriptor)


def _unpack(archive: Path, folder: Path) -> None:
    """InvalidInput for what is no archive, or leads out of the folder; TooLarge for more than anybody keeps."""
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    folder.mkdir()
    files = size = 0
    try:
        with tarfile.open(archive, "r|gz") as packed:
            for member in packed:
                files, size = files + 1, size + member.size
                if files > MOST_FILES or size > MOST_BYTES:
                    raise TooLarge("There is more in the repository than may be imported.")
                packed.extract(member, folder, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InvalidInput(f"What arrived cannot be unpacked: {error}") from error


def _the_one_folder(unpacked: Path) -> Path:
    """GitHub packs a repository as one folder."""
    folders = [path for path in unpacked.iterdir() if path.is_dir() and not path.is_symlink()]
    if len(folders) != 1:
        raise InvalidInput("What arrived is not one folder.")
    return folders[0]
