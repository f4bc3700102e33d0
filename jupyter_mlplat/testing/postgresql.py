"""A PostgreSQL of one's own in a temporary folder, and empty databases in it, each made in a moment."""

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]

from jupyter_mlplat.db.migrate import migrate
from jupyter_mlplat.db.tables import Base
from jupyter_mlplat.embedded.ports import free_port

FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=300"
TEMPLATE = "migrated"

FreshDatabase = Callable[[Path], str | None]
"""Makes a database with the platform's tables for a data folder; None is the file that it gets by itself."""


@dataclass
class PostgresServer:
    """A server of throw-away databases. `kill` and `start` make one that crashes and comes back."""

    folder: Path
    programs: Path
    port: int
    _numbers: "count[int]" = field(default_factory=count)
    _used: list[str] = field(default_factory=list)

    def url(self, database: str) -> str:
        """The address of a database, for SQLAlchemy with asyncpg."""
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/{database}"

    def empty(self) -> str:
        """The address of a new database without tables."""
        return self._make("template0")

    def migrated(self) -> str:
        """The address of a database with the platform's tables and nothing in them."""
        if not self._used:
            return self._make(TEMPLATE)
        name = self._used.pop()
        self.execute(_empty_all(), name)
        return self.url(name)

    def give_back(self, url: str) -> None:
        """A database of `migrated` to which nobody is connected any more; emptying one is quicker than making one."""
        self._used.append(url.rpartition("/")[2])

    def start(self) -> None:
        listens = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' {FAST}"
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", listens, "start")

    def stop(self, how: str = "immediate") -> None:
        """End it: `immediate` is as if it was killed, `fast` takes leave of its clients."""
        self._run("pg_ctl", "-D", "data", "-w", "-m", how, "stop")

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run one statement, from a thread of its own: the caller's event loop may be running."""
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, self._execute(statement, database)).result()

    async def _execute(self, statement: str, database: str) -> None:
        connection = await asyncpg.connect(host="127.0.0.1", port=self.port, user="postgres", database=database)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _make(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def prepare(self) -> None:
        self._run(
            "initdb", "-D", "data", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"
        )
        self.start()
        self.execute(f"CREATE DATABASE {TEMPLATE}")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(migrate, self.url(TEMPLATE)).result()

    def _run(self, program: str, *arguments: str) -> None:
        """As a user who is not root, whom PostgreSQL refuses."""
        account = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid} if os.geteuid() == 0 else {}
        command = [str(self.programs / program), *arguments]
        with (self.folder / "output").open("ab") as output:
            done = subprocess.run(command, cwd=self.folder, stdout=output, stderr=output, **account)  # type: ignore[call-overload]
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}: {(self.folder / 'output').read_text()}")


def _empty_all() -> str:
    deletes = [f"DELETE FROM {table.name}" for table in reversed(Base.metadata.sorted_tables)]  # noqa: S608
    return "; ".join([*deletes, *(f"ALTER SEQUENCE {name}_id_seq RESTART" for name in ("events", "audit"))])


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mlplat-postgresql-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        home = folder / "server"
        home.mkdir()
        if os.geteuid() == 0:
            shutil.chown(home, "nobody")
        server = PostgresServer(home, _programs(), free_port())
        try:
            server.prepare()
            yield server
        finally:
            server.stop()


def installed() -> bool:
    """Whether a server can be started here."""
    return _find() is not None


def _programs() -> Path:
    found = _find()
    if found is None:
        raise RuntimeError("PostgreSQL is not installed. Install it, for example: apt-get install postgresql")
    return found


def _find() -> Path | None:
    """Where Debian keeps the newest version's programs, else where the PATH has them."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which("initdb")
    return Path(found).parent if found else None
