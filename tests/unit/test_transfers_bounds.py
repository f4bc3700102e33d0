"""Where the files of a transfer may lie."""

from pathlib import Path

import pytest

from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.storage.transfers.one import Bounds


def test_files_lie_below_the_root_whatever_links_and_dots_say(tmp_path: Path) -> None:
    root = tmp_path / "work"
    (root / "folder").mkdir(parents=True)
    (root / "out").symlink_to(tmp_path)
    (root / "in").symlink_to("folder")
    bounds = Bounds(root)
    for good in ("x", "folder/x", "in/x", "new/x", ".mlplat2/x", "folder/.mlplat/x"):
        bounds.check(f"{root}/{good}")
    for out in ("out/x", "../x", "folder/../../x", "out/work2/x"):
        with pytest.raises(InvalidInput, match="outside the work folder"):
            bounds.check(f"{root}/{out}")


@pytest.mark.parametrize("root", [Path("/"), Path("/srv/files")])
def test_nothing_goes_into_the_folder_of_the_platform(root: Path) -> None:
    for place in (".mlplat", ".mlplat/x", ".mlplat/transfers/t-1/done"):
        with pytest.raises(InvalidInput, match="platform's own folder"):
            Bounds(root).check(str(root / place))


def test_no_link_leads_into_it(tmp_path: Path) -> None:
    (tmp_path / ".mlplat").mkdir()
    (tmp_path / "in").symlink_to(".mlplat")
    with pytest.raises(InvalidInput, match="platform's own folder"):
        Bounds(tmp_path).check(str(tmp_path / "in/x"))
