"""A registry behind TLS with a certificate of our own, whose tokens a server of the test gives out."""

import base64
import ipaddress
import json
import secrets
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from instances_stage import HOST_ADDRESS
from save_stage import OwnRegistry, own_registry

USER, PASSWORD = "platform", secrets.token_hex(8)


@dataclass
class Authority:
    """Signs certificates and tokens. `life` is how many seconds a token lasts."""

    folder: Path
    life: int = 300
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's authority")])
        self.certificate = self._certificate(self.name, self.key, authority=True)
        self.ca = self._write("ca.crt", self.certificate.public_bytes(serialization.Encoding.PEM))

    def server(self) -> tuple[Path, Path]:
        """Certificate and key for this machine's address."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry")])
        certificate = self._certificate(name, key, authority=False)
        form = serialization.PrivateFormat.TraditionalOpenSSL
        plain = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        return (
            self._write("server.crt", certificate.public_bytes(serialization.Encoding.PEM)),
            self._write("server.key", plain),
        )

    def _certificate(self, name: x509.Name, key: rsa.RSAPrivateKey, *, authority: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder(self.name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            address = x509.IPAddress(ipaddress.ip_address(HOST_ADDRESS))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def _write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def token(self, query: dict[str, list[str]]) -> str:
        """A token for what is asked for."""
        self.asked += query.get("scope", [])
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        now = int(time.time())
        claims = {
            "iss": "test", "aud": query["service"][0], "sub": USER, "jti": secrets.token_hex(8),
            "nbf": now - 10, "iat": now, "exp": now + self.life, "access": list(map(_access, query.get("scope", []))),
        }  # fmt: skip
        text = f"{_base64(json.dumps(header).encode())}.{_base64(json.dumps(claims).encode())}"
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{_base64(signature)}"


def _access(scope: str) -> dict[str, Any]:
    kind, name, actions = scope.split(":")
    return {"type": kind, "name": name, "actions": actions.split(",")}


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@contextmanager
def token_server(authority: Authority) -> Iterator[str]:
    """Gives a token to who knows the password."""
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") != expected:
                self.send_error(401)
                return
            token = authority.token(parse_qs(urlsplit(self.path).query))
            body = json.dumps({"token": token, "expires_in": authority.life}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            """Containerd asks so first; who does not speak OAuth 2 says 404."""
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    certificate, key = authority.server()
    server = ThreadingHTTPServer((HOST_ADDRESS, 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://{HOST_ADDRESS}:{server.server_port}/token"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def guarded_registry(folder: Path, life: int = 300) -> Iterator[tuple[OwnRegistry, Authority]]:
    authority = Authority(folder / "authority", life)
    certificate, key = authority.server()
    with token_server(authority) as realm:
        token = {"realm": realm, "service": "registry", "issuer": "test", "rootcertbundle": str(authority.ca)}
        tls = {"certificate": str(certificate), "key": str(key)}
        with own_registry(folder, tls=tls, auth={"token": token}) as registry:
            yield registry, authority


def pull_secret(address: str) -> dict[str, Any]:
    """What nodes pull with."""
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    document = {"auths": {address: {"auth": auth}}}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "pull"},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json.dumps(document)},
    }
