"""The ports of one platform, all on 127.0.0.1."""

import contextlib
import errno
import random
import socket
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from jupyter_mlplat.embedded.files import read_json, write_json
from jupyter_mlplat.errors import Conflict, InvalidInput

HOST = "127.0.0.1"
DEFAULT_PORT = 8000
GIVEN_AWAY = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST = 10_000
TRIES = 100
INTERNAL = ("proxy_api", "hub", "platform", "ssh", "tunnel")


@dataclass(frozen=True)
class Ports:
    """`public` is the one door. The others are chosen once and kept, since running servers know them."""

    public: int
    proxy_api: int
    hub: int
    platform: int
    ssh: int = 0
    tunnel: int = 0


def choose_ports(run: Path, public: int, held: Collection[int] = ()) -> Ports:
    """The ports to use, written to `ports.json`. `held` are those in use by our own processes of an earlier run.

    Conflict where the public one is taken by somebody else, InvalidInput where it may not be used.
    """
    if public not in held:
        check_free(public)
    known = read_json(run / "ports.json") or {}
    internal = {name: _kept_or_free(known.get(name), held) for name in INTERNAL}
    ports = Ports(public=public, **internal)
    write_json(run / "ports.json", asdict(ports))
    return ports


def known_ports(run: Path) -> Ports | None:
    """The ports of the last run."""
    known = read_json(run / "ports.json")
    return Ports(**known) if known else None


def check_free(port: int) -> None:
    """Conflict or InvalidInput, with words, where nothing can listen on this port."""
    try:
        _try_bind(port)
    except OSError as error:
        if error.errno == errno.EACCES:
            raise InvalidInput(f"You may not listen on port {port}. Choose one above 1023 with --port.") from error
        raise Conflict(
            f"Port {port} is taken{_holder(port)}. Stop that, or choose another port with --port, "
            f"for example --port {port + 10}."
        ) from error


def free_port() -> int:
    """A port that nobody listens on and that the system gives to nobody by itself.

    One that it may give away would be lost to any connection made while the part that listens on it is restarted.
    """
    try:
        first_given = int(GIVEN_AWAY.read_text().split()[0])
    except OSError:
        return _try_bind(0)
    candidates = range(LOWEST, max(first_given, LOWEST + 1))
    for port in random.sample(candidates, min(TRIES, len(candidates))):
        with contextlib.suppress(OSError):
            return _try_bind(port)
    return _try_bind(0)


def listener_of(port: int) -> int | None:
    """The process that listens on a port; None where nobody does, or it cannot be seen whose it is."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                return connection.pid
    return None


def why_not_listen(address: str, port: int) -> str:
    """What the system says against listening there; empty where one may."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen()
        except OSError as error:
            return error.strerror or str(error)
    return ""


def _kept_or_free(port: int | None, held: Collection[int]) -> int:
    if port is None:
        return free_port()
    try:
        return port if port in held else _try_bind(port)
    except OSError:
        return free_port()


def _try_bind(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        chosen: int = probe.getsockname()[1]
        return chosen


def _holder(port: int) -> str:
    with contextlib.suppress(psutil.Error):
        if pid := listener_of(port):
            return f" by {psutil.Process(pid).name()} (pid {pid})"
    return ""
