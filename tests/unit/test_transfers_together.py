"""What the threads of a transfer share."""

import errno
import os
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from jupyter_mlplat.storage.transfers import folder
from jupyter_mlplat.storage.transfers.folder import TransferFolder
from jupyter_mlplat.storage.transfers.together import Room, Together


def test_no_more_is_held_than_there_is_room_for_and_what_is_too_large_waits_for_all_of_it() -> None:
    room, lock, held, most = Room(100), threading.Lock(), [0], [0]

    def hold(size: int) -> None:
        with room.of(size):
            with lock:
                held[0] += min(size, 100)
                most[0] = max(most[0], held[0])
            threading.Event().wait(0.005)
            with lock:
                held[0] -= min(size, 100)

    threads = [threading.Thread(target=hold, args=(size,)) for size in [10, 60, 1, 100, 1000] * 6]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert most == [100]


def test_what_one_raises_is_raised_and_wakes_those_that_wait() -> None:
    together, woken = Together(), list[str]()

    def fail() -> None:
        raise ValueError("first")

    def wait() -> None:
        try:
            together.pause(200)
        except CancelledError:
            woken.append("woken")
            raise

    with pytest.raises(ValueError, match="first"):
        together.do([wait, wait, fail])
    assert woken == ["woken"] * 2
    with pytest.raises(CancelledError):
        together.look()


def test_a_full_disk_loses_no_line_of_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transfer, write = TransferFolder(tmp_path), os.write
    answers = [3, errno.ENOSPC]

    def full(descriptor: int, data: bytes) -> int:
        answer = answers.pop(0) if answers else len(data)
        if answer == errno.ENOSPC:
            raise OSError(errno.ENOSPC, "full")
        return write(descriptor, data[:answer])

    with transfer.ledger() as ledger:
        ledger.write(11, "")
        ledger.write(12, "it cannot be read")
        monkeypatch.setattr(folder.os, "write", full)
        with pytest.raises(OSError, match="full"):
            ledger.flush()
        ledger.write(13, "")
    assert transfer.done() == {11: "", 12: "it cannot be read", 13: ""}
