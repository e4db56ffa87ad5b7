"""The fixtures of the browser tests, which live in tests/web/browser.py."""

from tests.web.browser import server

__all__ = ["server"]
