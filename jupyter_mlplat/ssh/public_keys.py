"""Public keys of SSH: what is taken, and what is said of what is not."""

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass

from jupyter_mlplat.errors import InvalidInput

RSA_BITS = 3072
CURVES = {"nistp256": 256, "nistp384": 384, "nistp521": 521}
HARDWARE = {"sk-ssh-ed25519@openssh.com": 256, "sk-ecdsa-sha2-nistp256@openssh.com": 256}
LONGEST = 16384
HOW = "Paste the one line of a .pub file, such as ~/.ssh/id_ed25519.pub."


@dataclass(frozen=True)
class PublicKey:
    """A key without its comment. `line` is what authorized_keys takes, `comment` what stood behind it."""

    type: str
    bits: int
    blob: bytes
    comment: str

    @property
    def line(self) -> str:
        return f"{self.type} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it."""
        digest = hashlib.sha256(self.blob).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def read_public_key(text: str) -> PublicKey:
    """The key in one line of text. InvalidInput says what is wrong with it."""
    line = _one_line(text)
    type, _, rest = line.partition(" ")
    if not _is_known(type):
        raise InvalidInput(_unknown(type))
    encoded, _, comment = rest.strip().partition(" ")
    blob = _decoded(encoded)
    fields = _fields(blob)
    if not fields or fields[0] != type.encode():
        raise InvalidInput(f"This key says that it is {type} and is something else. {HOW}")
    return PublicKey(type, _bits(type, fields), blob, comment.strip())


def _one_line(text: str) -> str:
    if "PRIVATE KEY" in text:
        raise InvalidInput(
            "This is a private key, which nobody else may ever see; it was not kept. Take a new pair if it was shown "
            f"to anybody. {HOW}"
        )
    lines = [line.strip() for line in text.strip().splitlines()]
    if len(lines) != 1 or not lines[0]:
        raise InvalidInput(f"A public key is one line, and these are {len(lines)}. {HOW}")
    if len(lines[0]) > LONGEST or any(ord(character) < 32 for character in lines[0]):
        raise InvalidInput(f"This is no public key: it is too long or has control characters. {HOW}")
    return lines[0]


def _is_known(type: str) -> bool:
    return type in ("ssh-ed25519", "ssh-rsa", *HARDWARE) or type.removeprefix("ecdsa-sha2-") in CURVES


def _unknown(type: str) -> str:
    if "=" in type or "," in type or type in ("restrict", "cert-authority", "no-pty"):
        return f"Options before a key are not taken: leave them out. {HOW}"
    if type == "ssh-dss":
        return "DSA keys are too weak. Make a new pair: ssh-keygen -t ed25519"
    if "-cert-v01" in type:
        return f"This is a certificate, not a public key. {HOW}"
    return f"This is no public key of a kind that is taken (ed25519, ecdsa, rsa, sk-*). {HOW}"


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"This key is damaged: part of it is missing or changed. {HOW}") from error


def _fields(blob: bytes) -> list[bytes]:
    """The strings of which a key is made; InvalidInput where they do not fill it exactly."""
    fields, at = [], 0
    while at < len(blob):
        size = struct.unpack_from(">I", blob, at)[0] if at + 4 <= len(blob) else len(blob)
        if at + 4 + size > len(blob):
            raise InvalidInput(f"This key is damaged: part of it is missing. {HOW}")
        fields.append(blob[at + 4 : at + 4 + size])
        at += 4 + size
    return fields


def _bits(type: str, fields: list[bytes]) -> int:
    shapes = {"ssh-ed25519": 2, "ssh-rsa": 3, "sk-ssh-ed25519@openssh.com": 3, "sk-ecdsa-sha2-nistp256@openssh.com": 4}
    if len(fields) != shapes.get(type, 3):
        raise InvalidInput(f"This key is damaged: it is not made as {type} is. {HOW}")
    if type == "ssh-rsa":
        return _rsa_bits(fields)
    if type.startswith("ecdsa-"):
        return _ecdsa_bits(type, fields)
    if type == "ssh-ed25519" and len(fields[1]) != 32:
        raise InvalidInput(f"This key is damaged: it is not made as {type} is. {HOW}")
    return 256


def _rsa_bits(fields: list[bytes]) -> int:
    exponent, modulus = (int.from_bytes(field, "big") for field in fields[1:])
    bits = modulus.bit_length()
    if bits < RSA_BITS or exponent < 3:
        raise InvalidInput(f"This RSA key has {bits} bits, too few: take {RSA_BITS} or more, or ssh-keygen -t ed25519")
    return bits


def _ecdsa_bits(type: str, fields: list[bytes]) -> int:
    curve = type.removeprefix("ecdsa-sha2-")
    if fields[1] != curve.encode() or not fields[2].startswith(b"\x04"):
        raise InvalidInput(f"This key is damaged: it is not made as {type} is. {HOW}")
    return CURVES[curve]
