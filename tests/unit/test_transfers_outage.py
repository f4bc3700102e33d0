"""A transfer whose endpoint is away for a while."""

import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyter_mlplat.storage.engine.connection import connection
from jupyter_mlplat.storage.engine.s3 import S3Store
from jupyter_mlplat.storage.object_urls import ObjectUrl
from jupyter_mlplat.storage.transfers.carrying import Carrier, Outcome
from jupyter_mlplat.storage.transfers.folder import TransferFolder
from jupyter_mlplat.storage.transfers.order import Order
from jupyter_mlplat.storage.transfers.planning import plan
from jupyter_mlplat.testing.moto_s3 import running


def test_a_transfer_waits_for_an_endpoint_that_is_away_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    transfer = TransferFolder.make(tmp_path / "transfer", Order("a.txt", "obs://away/a.txt"))
    waits = threading.Event()

    def hear(figures: dict[str, Any]) -> None:
        if "Trying again in" in figures["waiting"]:
            waits.set()

    with running(0) as address:
        store = S3Store(connection("ak", "sk", address))
        store.make_bucket("away")
        # what there is to do is known; from here on the endpoint is away
        carrier = Carrier(transfer, tmp_path, lambda _: store, hear)
        transfer.plan.write(plan(transfer.order, tmp_path, lambda _: store))
    ended: list[Outcome] = []
    worker = threading.Thread(target=lambda: ended.append(carrier.run()))
    worker.start()
    assert waits.wait(60)
    with running(urlsplit(address).port or 0):
        worker.join(60)
        assert ended == [Outcome()]
        assert store.read(ObjectUrl("away", "a.txt")) == b"a"
        store.delete("away", ["a.txt"])
        store.remove_bucket("away")
