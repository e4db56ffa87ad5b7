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

JUDGE = Path(__file__).with_name("judge.js").read_text(encoding="utf-8")
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


@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
@pytest.mark.parametrize("size", [(1280, 800), (360, 740)], ids=["desk", "phone"])
async def test_a_new_portrait_is_shown_before_it_speaks(
    visit: Visit, gallery: Server, tmp_path: Path, locale: str, size: tuple[int, int]
) -> None:
    english = locale == "en-US"
    page = await visit.open(gallery, locale=locale, size=size)
    await page.get_by_role("tab", name="Portrait" if english else "顔の画像").click()
    panel = page.locator("#portrait")
    before = await panel.get_by_role("radio", checked=True).get_attribute("value")
    there = await panel.get_by_role("radio").count()
    async with page.expect_file_chooser() as chooser:
        await page.locator("#portrait-choose").click()
    (tmp_path / "me.jpg").write_bytes(PHOTO.read_bytes())
    await (await chooser.value).set_files(tmp_path / "me.jpg")

    preview = panel.get_by_role("region", name="How it will look" if english else "動いたときの見え方")
    images = preview.get_by_role("img")
    await expect(images).to_have_count(6)
    names = [await image.get_attribute("alt") for image in await images.all()]
    assert len(set(names)) == 6 and all(names)
    assert all(name.isascii() != (not english) or "“" in name for name in names if name)
    await until(
        lambda: images.first.evaluate("image => image.complete && image.naturalWidth === 6 * image.naturalHeight"),
        "the expressions are drawn",
    )
    # Each image shows its own part of the strip, as a square that can be made out.
    assert len({await image.evaluate("i => i.style.objectPosition") for image in await images.all()}) == 6
    for image in await images.all():
        box = await image.bounding_box()
        assert box is not None and abs(box["width"] - box["height"]) < 1 and box["width"] > 75
    await expect(preview.get_by_text("works best" if english else "最も適しています")).to_be_visible()
    await expect(preview).to_be_in_viewport()
    scrolled = "[scrollY, document.documentElement.scrollTop, document.body.scrollTop]"
    assert await page.evaluate(scrolled) == [0, 0, 0], "the page stays where it is"
    await expect(page.get_by_role("tab").first).to_be_in_viewport()
    assert await page.evaluate(JUDGE) == []

    # The way back: the portrait before it is chosen again, and the new one is gone.
    await preview.locator("#preview-back").click()
    await expect(preview).to_have_count(0)
    await expect(panel.get_by_role("radio")).to_have_count(there)
    assert await panel.get_by_role("radio", checked=True).get_attribute("value") == before
    assert all(row["builtin"] for row in gallery.get("/avatars")["avatars"])


async def test_a_portrait_that_is_liked_is_kept(visit: Visit, gallery: Server, tmp_path: Path) -> None:
    page = await visit.open(gallery)
    await visit.show("Portrait")
    panel = page.get_by_role("tabpanel", name="Portrait")
    await page.route("**/preview.jpg", lambda route: route.abort())
    await choose(page, tmp_path / "me.jpg", PHOTO.read_bytes())
    await expect(panel.get_by_text("Its expressions could not be drawn.")).to_be_visible()
    await expect(panel.get_by_text("The portrait is ready.")).to_be_visible()
    await panel.get_by_role("button", name="Keep it").click()
    await expect(panel.get_by_role("region")).to_have_count(0)
    await expect(panel.get_by_role("radio").last).to_be_checked()
    await expect(panel.get_by_role("radio").last).to_be_focused()
    await panel.get_by_role("button", name="Remove").click()
    await expect(panel.get_by_role("button", name="Remove")).to_have_count(0)


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
