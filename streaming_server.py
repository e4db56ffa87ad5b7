"""The server: `python streaming_server.py [flags]`. Wiring only: flags → settings → engines → routes → run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import ssl
import sys

from aiohttp import web

from avatar.errors import Invalid
from avatar.serve import tls
from avatar.serve.access import is_loopback, keep_token, new_token, token_file
from avatar.serve.app import build
from avatar.serve.state import STATE
from avatar.settings import Settings, load

log = logging.getLogger("avatar")


def _token(settings: Settings) -> str | None:
    """The token that is asked for; None where nobody is asked."""
    if settings.auth_token:
        return settings.auth_token
    if is_loopback(settings.host):
        return None
    if settings.open:
        log.warning("--open: anyone who can reach %s:%d can use this server", settings.host, settings.port)
        return None
    return new_token()


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """For HTTPS; None without a certificate. Raises `Invalid` for files that are none."""
    if settings.ssl_cert is None:
        if settings.ssl_key is not None:
            raise Invalid("--ssl-key needs --ssl-cert.", field="ssl_cert")
        return None
    return tls.context(settings.ssl_cert, settings.ssl_key)


async def _serve(settings: Settings) -> int:
    """Serves until a signal asks for the end (0) or a flag turns out to name no engine (2)."""
    token = _token(settings)
    context = _tls(settings)
    app = build(settings, token)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as error:
            raise SystemExit(f"Cannot listen on {settings.host}:{settings.port}: {error.strerror or error}.") from None
        port = runner.addresses[0][1]
        made = token is not None and settings.auth_token is None
        if made and token is not None:
            log.info("the token is kept in %s", keep_token(port, token))
        # Browsers give the microphone to pages of this machine, not to bare addresses.
        host = "localhost" if is_loopback(settings.host) or settings.host in ("0.0.0.0", "::") else settings.host
        url = f"{'https' if context else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/"
        # On stdout and nothing else: scripts read the address from here.
        print(url + (f"?token={token}" if made else ""), flush=True)  # noqa: T201
        announce = asyncio.create_task(_announce(app, url))
        stop = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(name, stop.set)
        refused = asyncio.create_task(app[STATE].engines.refused.wait())
        await asyncio.wait({refused, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
        announce.cancel()
        if made:
            token_file(port).unlink(missing_ok=True)
        return 2 if refused.done() else 0
    finally:
        await runner.cleanup()


async def _announce(app: web.Application, url: str) -> None:
    await app[STATE].engines.ready.wait()
    log.info("open %s and press Start", url)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    for noisy in ("aioice", "aiortc"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        code = asyncio.run(_serve(load()))
    except Invalid as error:
        sys.stderr.write(f"streaming_server.py: {error.message}\n")
        sys.exit(2)
    sys.exit(code)


if __name__ == "__main__":
    main()
