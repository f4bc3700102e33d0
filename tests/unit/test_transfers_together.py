"""What the threads of a transfer share."""

import threading

from jupyter_mlplat.storage.transfers.together import Room


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
