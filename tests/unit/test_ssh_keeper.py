"""The keeper of a gateway on a machine of its own: what it tells of visits, and when."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from jupyter_mlplat.gateway.keeper import Keeper, KeeperSettings
from jupyter_mlplat.gateway.tunnel_notes import process
from jupyter_mlplat.ssh.models import GatewayOrders, GatewayReport, digest_of

Visit = tuple[str, "subprocess.Popen[bytes]"]


class Platform:
    """Keeps the reports; answers with the next of `answers`, and leaves the question open where there is none."""

    def __init__(self) -> None:
        self.reports: asyncio.Queue[GatewayReport] = asyncio.Queue()
        self.answers: list[GatewayOrders] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.reports.put_nowait(GatewayReport.model_validate_json(request.content))
        if not self.answers:
            await asyncio.Event().wait()
        return httpx.Response(200, content=self.answers.pop(0).model_dump_json())

    async def told(self) -> GatewayReport:
        async with asyncio.timeout(10):
            return await self.reports.get()


@pytest.fixture
def visits() -> Iterator[list[Visit]]:
    started = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    yield [(process(str(one.pid)), one) for one in started]
    for one in started:
        one.kill()
        one.wait()


async def test_who_leaves_is_told_while_a_question_is_open(visits: list[Visit], tmp_path: Path) -> None:
    platform = Platform()
    (first, leaver), (second, _) = visits
    platform.answers = [GatewayOrders(names=["one.alice"], visits=[first, second], cut=[])]
    settings = KeeperSettings(platform="http://platform", secret_file=tmp_path / "secret", folder=tmp_path)
    async with httpx.AsyncClient(base_url="http://platform", transport=httpx.MockTransport(platform)) as client:
        running = asyncio.create_task(Keeper(settings, client).run())
        assert await platform.told() == GatewayReport()
        known = digest_of(["one.alice"])
        assert await platform.told() == GatewayReport(names=known, visits=[first, second])
        leaver.kill()
        leaver.wait()
        assert await platform.told() == GatewayReport(names=known, visits=[second], gone=[first])
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert (tmp_path / "passwd").read_text().count("one.alice:") == 1


async def test_who_has_left_is_told_until_the_platform_has_heard(visits: list[Visit], tmp_path: Path) -> None:
    platform = Platform()
    (first, leaver), (second, other) = visits
    platform.answers = [GatewayOrders(names=None, visits=[first, second], cut=[])]
    settings = KeeperSettings(platform="http://platform", secret_file=tmp_path / "secret", folder=tmp_path)
    async with httpx.AsyncClient(base_url="http://platform", transport=httpx.MockTransport(platform)) as client:
        keeper = Keeper(settings, client)
        await keeper.turn()
        for one in (leaver, other):
            one.kill()
            one.wait()
            await keeper.turn()
        platform.answers = [GatewayOrders(names=None, visits=[], cut=[])] * 2
        await keeper.turn()
        await keeper.turn()
    told = [platform.reports.get_nowait() for _ in range(platform.reports.qsize())]
    assert [sorted(report.gone) for report in told] == [[], [], [first], sorted([first, second]), []]
