"""The fixtures of the browser tests, which live in tests/web/browser.py."""

from tests.web.browser import own_server, server

__all__ = ["own_server", "server"]
