"""Portraits: chosen, brought along, refused in words."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from checkpoints.fetch import ENTRIES, HERE, FetchError, fetch
from tests.absent import absent
from tests.web.browser import Server, until
from tests.web.visit import Visit

PHOTO = Path(__file__).parents[1] / "portrait" / "pictures" / "astronaut.jpg"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that can find faces."""
    try:
        fetch(next(entry for entry in ENTRIES if entry.name == "face"))
    except FetchError as error:
        absent(f"the face models cannot be had: {error}")
    folder = tmp_path_factory.mktemp("gallery")
    (folder / "face").symlink_to(HERE / "face")
    server = Server(folder)
    server.start()
    yield server
    server.stop()
    assert "Traceback" not in server.log(), server.log()


async def choose(page: Page, path: Path, data: bytes) -> None:
    """Picks a file as a person does in the browser's dialog."""
    path.write_bytes(data)
    async with page.expect_file_chooser() as chooser:
        await page.get_by_role("button", name="Choose a picture").click()
    await (await chooser.value).set_files(path)


async def test_a_portrait_is_taken_and_speaks_next(visit: Visit, gallery: Server, tmp_path: Path) -> None:
    page = await visit.open(gallery)
    await visit.show("Portrait")
    panel = page.get_by_role("tabpanel", name="Portrait")
    there = len(gallery.get("/avatars")["avatars"])
    await expect(panel.get_by_role("radio")).to_have_count(there)
    await choose(page, tmp_path / "me.jpg", PHOTO.read_bytes())
    await expect(panel.get_by_text("The portrait is ready.")).to_be_visible()
    await expect(panel.get_by_role("radio")).to_have_count(there + 1)
    await expect(panel.get_by_role("radio").last).to_be_checked()
    avatar = await panel.get_by_role("radio").last.get_attribute("value")
    await expect(page.locator("#poster")).to_have_attribute("src", f"/avatars/{avatar}.jpg")

    await visit.call()
    assert (await visit.state())["session"]["avatar"] == avatar
    await until(lambda: page.evaluate("document.querySelector('video').videoWidth === 256"), "the photo moves")

    # During a session the choice is for the next reply.
    await panel.get_by_role("img", name="Default").click()
    await expect(panel.get_by_text("It appears with the next reply.")).to_be_visible()
    await visit.until(lambda s: s["session"]["avatar"] == "default", "the choice is in effect")
    await visit.press("Stop")

    await panel.get_by_role("button", name="Remove").click()
    await expect(panel.get_by_role("radio")).to_have_count(there)
    assert all(row["builtin"] for row in gallery.get("/avatars")["avatars"])


async def test_a_picture_can_be_dropped_on_the_page(visit: Visit, gallery: Server) -> None:
    page = await visit.open(gallery)
    data = await page.evaluate_handle(
        """(photo) => {
          const bytes = Uint8Array.from(atob(photo), (c) => c.charCodeAt(0));
          const data = new DataTransfer();
          data.items.add(new File([bytes], "dropped.jpg", { type: "image/jpeg" }));
          return data;
        }""",
        base64.b64encode(PHOTO.read_bytes()).decode(),
    )
    await page.dispatch_event("#face", "dragenter", {"dataTransfer": data})
    await expect(page.get_by_text("Drop the picture to use it")).to_be_visible()
    await page.dispatch_event("#face", "drop", {"dataTransfer": data})
    await expect(page.get_by_text("Drop the picture to use it")).to_be_hidden()
    await expect(page.get_by_text("The portrait is ready.")).to_be_visible()
    await page.get_by_role("button", name="Remove").click()
    await expect(page.get_by_role("button", name="Remove")).to_have_count(0)


async def test_what_is_no_portrait_is_refused_in_words(visit: Visit, gallery: Server, tmp_path: Path) -> None:
    page = await visit.open(gallery)
    await visit.show("Portrait")
    error = page.locator("#portrait [role=alert]")

    await choose(page, tmp_path / "notes.txt", b"hello")
    await expect(error).to_contain_text("“notes.txt” is not a picture.")
    await choose(page, tmp_path / "notes.jpg", b"hello")
    await expect(error).to_contain_text("cannot be read as a picture")
    await choose(page, tmp_path / "large.jpg", bytes(20_100_000))
    await expect(error).to_contain_text("too large: 20.1 MB, and 20 MB is the limit")
    blank = await page.evaluate(
        """async () => {
          const canvas = document.createElement("canvas");
          canvas.width = canvas.height = 320;
          canvas.getContext("2d").fillRect(0, 0, 320, 320);
          return canvas.toDataURL("image/png").split(",")[1];
        }"""
    )
    await choose(page, tmp_path / "wall.png", base64.b64decode(blank))
    await expect(error).to_contain_text("No face was found in the picture.")
    await expect(page.get_by_role("button", name="Choose a picture")).to_be_enabled()
    await expect(page.get_by_role("button", name="Remove")).to_have_count(0)


async def test_a_portrait_that_is_gone_is_replaced(visit: Visit, gallery: Server) -> None:
    page = await visit.open(gallery)
    await page.evaluate("localStorage.setItem('avatar.tunables', '{\"avatar\": \"0123456789abcdef\"}')")
    await page.reload()
    await visit.call()
    assert (await visit.state())["session"]["avatar"] == "default"
