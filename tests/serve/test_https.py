"""HTTPS, and settings that cannot be served."""

from __future__ import annotations

import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization

import streaming_server
from avatar.errors import Invalid
from avatar.serve.app import build
from avatar.settings import Settings
from tests.play.relay import self_signed


async def test_it_serves_https_with_a_certificate(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    context = streaming_server._tls(Settings(ssl_cert=str(certificate), ssl_key=str(key)))
    app = web.Application()
    app.add_routes([web.get("/", lambda request: web.Response(text=str(request.secure)))])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    trusted = ssl.create_default_context(cafile=str(certificate))
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"https://localhost:{runner.addresses[0][1]}/", ssl=trusted) as response,
    ):
        assert await response.text() == "True"
    await runner.cleanup()


def test_files_that_are_no_certificate_are_told(tmp_path: Path) -> None:
    assert streaming_server._tls(Settings()) is None
    (tmp_path / "no.pem").write_text("nothing")
    for settings in (
        Settings(ssl_cert=str(tmp_path / "none.pem")),
        Settings(ssl_cert=str(tmp_path / "no.pem")),
        Settings(ssl_key=str(tmp_path / "no.pem")),
    ):
        with pytest.raises(Invalid) as refusal:
            streaming_server._tls(settings)
        assert refusal.value.field == "ssl_cert"


def test_what_is_wrong_with_a_certificate_is_told(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    (tmp_path / "other").mkdir()
    _, other = self_signed(tmp_path / "other")
    locked = tmp_path / "locked.pem"
    secret = serialization.load_pem_private_key(key.read_bytes(), None)
    form = serialization.PrivateFormat.PKCS8
    locked.write_bytes(
        secret.private_bytes(serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"x"))
    )
    for ssl_key, words in (
        (other, "does not belong"),
        (locked, "passphrase"),
        (None, "--ssl-key"),
        (certificate, "PEM"),
        (tmp_path / "none.pem", "none.pem: No such file"),
    ):
        with pytest.raises(Invalid, match=words):
            streaming_server._tls(Settings(ssl_cert=str(certificate), ssl_key=ssl_key and str(ssl_key)))


def test_a_relay_without_a_secret_is_told_at_once() -> None:
    """Browsers make no connection at all when they are given one without credentials."""
    with pytest.raises(Invalid, match="--turn-secret"):
        build(Settings(ice_server=("stun:stun.example.org", "turn:turn.example.org")))


def test_a_server_that_is_no_stun_or_turn_url_is_told_at_once() -> None:
    with pytest.raises(Invalid) as refusal:
        build(Settings(ice_server=("https://example.org",)))
    assert refusal.value.field == "ice_server"
