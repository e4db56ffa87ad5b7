"""Who may ask: tokens, cookies, foreign pages, foreign host names."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from avatar.serve.access import COOKIE, guard, is_loopback, keep_token, new_token
from avatar.serve.app import _errors
from avatar.serve.ice import turn_credentials


async def _ok(request: web.Request) -> web.Response:
    return web.json_response({"ok": True})


async def _client(token: str | None, *, local: bool) -> AsyncIterator[TestClient[Any, Any]]:
    app = web.Application(middlewares=[_errors, guard(token, local=local), _errors])  # type: ignore[list-item]
    app.add_routes([web.get("/config", _ok), web.get("/", _ok), web.get("/health", _ok), web.post("/x", _ok)])
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.fixture
async def guarded() -> AsyncIterator[TestClient[Any, Any]]:
    async for client in _client("secret", local=False):
        yield client


@pytest.fixture
async def local() -> AsyncIterator[TestClient[Any, Any]]:
    async for client in _client(None, local=True):
        yield client


async def test_the_token_opens_as_bearer_and_as_cookie_and_moves_out_of_the_address(
    guarded: TestClient[Any, Any],
) -> None:
    refused = await guarded.get("/config")
    assert refused.status == 401 and (await refused.json())["error"]["code"] == "unauthorized"
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert (await guarded.get("/health")).status == 200
    assert (await guarded.get("/config", headers={"Authorization": "Bearer secret"})).status == 200
    assert (await guarded.get("/config", headers={"Authorization": "Bearer wrong"})).status == 401
    assert (await guarded.get("/config", headers={"Authorization": "Bearer \udcff"})).status == 401
    assert (await guarded.get("/config?token=secret")).status == 401, "only the page takes it from the address"
    assert (await guarded.get("/?token=wrong", allow_redirects=False)).status == 401
    opened = await guarded.get("/?token=secret", allow_redirects=False)
    assert opened.status == 302 and opened.headers["Location"] == "/"
    assert "HttpOnly" in opened.headers["Set-Cookie"] and "SameSite=Strict" in opened.headers["Set-Cookie"]
    assert (await guarded.get("/config", cookies={COOKIE: "secret"})).status == 200


async def test_pages_of_this_machine_may_and_of_others_may_not(local: TestClient[Any, Any]) -> None:
    friend = await local.post("/x", headers={"Origin": "http://localhost:5173"})
    assert friend.status == 200
    assert friend.headers["Access-Control-Allow-Origin"] == "http://localhost:5173"
    preflight = await local.options(
        "/x", headers={"Origin": "http://localhost:5173", "Access-Control-Request-Method": "PATCH"}
    )
    assert preflight.status == 204 and "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
    stranger = await local.post("/x", headers={"Origin": "https://example.com"})
    assert stranger.status == 403 and (await stranger.json())["error"]["code"] == "forbidden_origin"
    assert (await local.post("/x", headers={"Origin": "null"})).status == 403


async def test_a_foreign_host_name_on_loopback_is_a_trick(local: TestClient[Any, Any]) -> None:
    assert (await local.get("/config", headers={"Host": "evil.example:8000"})).status == 403
    assert (await local.get("/config", headers={"Host": "localhost:8000"})).status == 200


async def test_wrong_paths_and_methods_carry_the_json_error(local: TestClient[Any, Any]) -> None:
    missing = await local.get("/nothing")
    assert missing.status == 404 and (await missing.json())["error"]["code"] == "not_found"
    wrong = await local.delete("/x")
    assert wrong.status == 405 and wrong.headers["Allow"] == "POST"
    assert (await wrong.json())["error"]["message"]


def test_loopback_is_told_from_the_world() -> None:
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.8.9.1", "::1", "[::1]", "app.localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "10.0.0.1", "example.com", "localhost.example.com", ""]))


def test_the_token_is_kept_for_its_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    token = new_token()
    path = keep_token(8123, token)
    assert path.read_text() == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keep_token(8123, "other") == path and path.read_text() == "other"


def test_turn_credentials_are_what_a_turn_server_checks() -> None:
    username, password = turn_credentials("north", 1_700_000_000.5, "me")
    assert username == "1700021600:me"
    assert password == "qw6sXlbjJRJxUPZivk0rDM7/c9E="  # by openssl dgst -sha1 -hmac
