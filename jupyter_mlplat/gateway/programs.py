"""The programs that SSH needs on this machine."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

PLACES = ("/usr/sbin", "/usr/local/sbin", "/sbin")
LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib")
NSS_WRAPPER = "libnss_wrapper.so"
PRIVILEGE_SEPARATION = Path("/run/sshd")
MISSING = (
    "SSH is off: this machine has no {what}. Install them with the package manager of your system, on Debian "
    "`apt install openssh-server libnss-wrapper`, then start the platform again."
)


@dataclass(frozen=True)
class Programs:
    """Where sshd and the library that gives it names of our own are."""

    sshd: str
    nss_wrapper: str

    def environment(self, names: Path) -> dict[str, str]:
        """The variables with which sshd takes users and groups from `passwd` and `group` in a folder."""
        return {
            "LD_PRELOAD": self.nss_wrapper,
            "NSS_WRAPPER_PASSWD": str(names / "passwd"),
            "NSS_WRAPPER_GROUP": str(names / "group"),
        }


def find_programs() -> Programs | None:
    """What SSH needs; None where something is missing, see `missing`."""
    sshd, library = _sshd(), _nss_wrapper()
    return Programs(sshd, library) if sshd and library and _bash() else None


def missing() -> str:
    """Which programs are not here, and how to get them."""
    absent = {"OpenSSH server (sshd)": _sshd(), NSS_WRAPPER: _nss_wrapper(), "bash": _bash()}
    return MISSING.format(what=" and no ".join(name for name, found in absent.items() if not found))


def prepare_privilege_separation() -> None:
    """Make the empty folder that an sshd of root's wants; anybody else's needs none."""
    if os.geteuid() == 0:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)


def _sshd() -> str | None:
    return shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", os.defpath), *PLACES]))


def _bash() -> str | None:
    """For the errands of an sshd, which look for it where every system has it."""
    return shutil.which("bash", path=os.defpath)


def _nss_wrapper() -> str | None:
    places = [place for folder in LIBRARIES for place in (Path(folder), *Path(folder).glob("*-linux-gnu"))]
    return next((str(found) for place in places if (found := place / NSS_WRAPPER).is_file()), None)
