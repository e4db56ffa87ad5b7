"""One Chromium for the tests of the page, and the page as a person uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.web.browser import SharedBrowser, own_server, server
from tests.web.visit import Visit

__all__ = ["own_server", "server"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All these tests share one browser, hence one event loop."""
    for item in items:
        if "tests/web/" in item.path.as_posix():
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.browser)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_browser() -> AsyncIterator[SharedBrowser]:
    shared = SharedBrowser()
    yield shared
    await shared.close()


@pytest_asyncio.fixture(loop_scope="session")
async def browser(shared_browser: SharedBrowser) -> Browser:
    return await shared_browser.answering()


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser) -> AsyncIterator[Visit]:
    """A fresh visitor of the shared browser, who speaks English and sits at a desk."""
    visit = Visit(browser)
    yield visit
    await visit.leave()
