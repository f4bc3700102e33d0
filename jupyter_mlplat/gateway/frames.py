"""The frames of a websocket (RFC 6455), for both ends of the way through HTTPS; without any input or output.

What is carried is a stream of bytes, so the pieces of a message are handed on as they come and none is ever held whole.
"""

Bytes = bytes | memoryview

BINARY, CLOSE, PING, PONG = 2, 8, 9, 10
LONGEST_CONTROL = 125
LONGEST_HEAD = 14

MASK = bytes(4)
"""What a client of ours masks with. A mask keeps scripts in a web page, which choose what is sent, from being taken for
other protocols by proxies on the way. Here ssh's ciphers choose; a mask over them would cost more than all else."""


class Broken(Exception):
    """What came is no frame of a websocket."""


class Frames:
    """Takes apart what is received; `masked` says whether the other end has to mask, as clients do."""

    def __init__(self, *, masked: bool) -> None:
        self._masked = masked
        self._head = b""
        self._kind, self._left, self._mask = 0, 0, b""
        self._control = b""

    def taken(self, received: Bytes) -> list[tuple[int, Bytes]]:
        """What is complete now: pieces of data as BINARY, and each CLOSE, PING and PONG with its content.

        Nothing is copied that need not be: pieces of a memoryview are good as long as what it shows.
        """
        found: list[tuple[int, Bytes]] = []
        while received or (self._kind > BINARY and not self._left):
            if not self._kind:
                received = self._begin(self._head + received if self._head else received)
                continue
            piece, received = received[: self._left], received[self._left :]
            self._left -= len(piece)
            self._take(self._unmasked(piece), found)
        return found

    def _take(self, piece: Bytes, found: list[tuple[int, Bytes]]) -> None:
        if self._kind == BINARY:
            if piece:
                found.append((BINARY, piece))
        else:
            self._control += piece
            if self._left:
                return
            found.append((self._kind, self._control))
            self._control = b""
        if not self._left:
            self._kind = 0

    def _begin(self, data: Bytes) -> Bytes:
        """Read the head of a frame; what follows it. Nothing, where the head is not whole yet."""
        size = _size_of_head(data)
        if len(data) < size:
            self._head = bytes(data)
            return b""
        self._head, kind = b"", data[0] & 0x0F
        masked, self._left = bool(data[1] & 0x80), _length(data)
        control = kind in (CLOSE, PING, PONG)
        known = control or kind in (0, 1, BINARY)
        if not known or data[0] & 0x70 or masked != self._masked or (control and self._left > LONGEST_CONTROL):
            raise Broken
        self._kind = kind if control else BINARY
        self._mask = bytes(data[size - 4 : size]) if masked else b""
        if not self._left and not control:
            self._kind = 0
        return data[size:]

    def _unmasked(self, piece: Bytes) -> Bytes:
        if self._mask in (b"", MASK) or not piece:
            return piece
        plain = xored(piece, self._mask)
        turn = len(piece) % 4
        self._mask = self._mask[turn:] + self._mask[:turn]
        return plain


def framed(kind: int, data: Bytes, *, mask: bool) -> bytes:
    """One whole frame; a client's has a mask, even if it changes nothing."""
    return head_of(kind, len(data), mask=mask) + data


def head_of(kind: int, length: int, *, mask: bool) -> bytes:
    """What stands before the data of a frame, LONGEST_HEAD bytes at most."""
    flag = 0x80 if mask else 0
    if length < 126:
        head = bytes([0x80 | kind, flag | length])
    elif length < 65536:
        head = bytes([0x80 | kind, flag | 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([0x80 | kind, flag | 127]) + length.to_bytes(8, "big")
    return head + MASK if mask else head


def xored(data: Bytes, mask: bytes) -> bytes:
    """The data with the four bytes of the mask over it, again and again; in whole numbers, which is quick."""
    size = len(data)
    over = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(over, "little")).to_bytes(size, "little")


def _size_of_head(data: Bytes) -> int:
    if len(data) < 2:
        return 2
    return 2 + {126: 2, 127: 8}.get(data[1] & 0x7F, 0) + (4 if data[1] & 0x80 else 0)


def _length(data: Bytes) -> int:
    short = data[1] & 0x7F
    if short < 126:
        return short
    return int.from_bytes(data[2 : 4 if short == 126 else 10], "big")


class Framing:
    """A buffer whose frames have their heads put before data that lies there already, so that it is never moved."""

    def __init__(self, size: int, *, mask: bool) -> None:
        self._buffer, self._mask = memoryview(bytearray(LONGEST_HEAD + size)), mask
        self.room = self._buffer[LONGEST_HEAD:]
        """Where the data goes."""

    def frame(self, length: int) -> memoryview:
        """The whole frame around the first `length` bytes of the room."""
        head = head_of(BINARY, length, mask=self._mask)
        self._buffer[LONGEST_HEAD - len(head) : LONGEST_HEAD] = head
        return self._buffer[LONGEST_HEAD - len(head) : LONGEST_HEAD + length]
