"""A real TURN server, coturn, in a process of its own."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from avatar.play.gather import IceServer, default_address
from avatar.serve.ice import turn_credentials

START_S = 20.0


@dataclass(frozen=True)
class Relay:
    port: int
    tls_port: int
    secret: str
    certificate: Path
    log: Path

    def url(self, transport: str) -> str:
        if transport == "tls":
            return f"turns:localhost:{self.tls_port}?transport=tcp"
        return f"turn:127.0.0.1:{self.port}?transport={transport}"

    def server(self, transport: str, secret: str | None = None) -> IceServer:
        return IceServer((self.url(transport),), *turn_credentials(secret or self.secret, time.time()))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Certificate and key for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "certificate.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = folder / "key.pem"
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, secret


@contextmanager
def coturn(folder: Path) -> Iterator[Relay]:
    """Listens on loopback, relays from this machine's own address."""
    program = shutil.which("turnserver")
    assert program is not None
    certificate, key = self_signed(folder)
    relay = Relay(free_port(), free_port(), "a secret of coturn's", certificate, folder / "coturn.log")
    command = [program, "-n", "--log-file", str(relay.log), "--simple-log", "--no-cli", "--pidfile", ""]
    command += ["--listening-ip", "127.0.0.1", "--relay-ip", default_address() or "127.0.0.1"]
    command += ["--listening-port", str(relay.port), "--tls-listening-port", str(relay.tls_port)]
    command += ["--use-auth-secret", "--static-auth-secret", relay.secret, "--realm", "example.org"]
    command += ["--cert", str(certificate), "--pkey", str(key), "--no-dtls", "--allow-loopback-peers"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
    try:
        end = time.monotonic() + START_S
        while not (_listens(relay.port) and _listens(relay.tls_port)):
            log = relay.log.read_text() if relay.log.exists() else ""
            assert process.poll() is None and time.monotonic() < end, f"coturn did not start: {log}"
            time.sleep(0.05)
        yield relay
    finally:
        process.terminate()
        process.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(0.5)
        return sock.connect_ex(("127.0.0.1", port)) == 0
