from __future__ import annotations

import asyncio
import io
import json
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avatar.errors import AtCapacity, AvatarError, Invalid, NotFound, NotReady, TooLarge, UnsupportedMedia
from avatar.face import avatars
from avatar.face.avatars import AvatarStore
from puppet import load_rig

Open = Callable[[], AvatarStore]


def encoded(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def variant(photo: bytes, number: int) -> bytes:
    """The same picture in other bytes."""
    return encoded(Image.open(io.BytesIO(photo)), quality=40 + number)


def giant_png() -> bytes:
    """70 bytes that claim 20,000 × 20,000 pixels."""

    def chunk(tag: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def zip_bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("portrait.png", bytes(30_000_000))
    return out.getvalue()


async def test_register_list_look_and_remove(open_store: Open, photo: bytes) -> None:
    store = open_store()
    before = store.list()
    assert all(info.builtin for info in before)
    info = await store.register(photo, "image/jpeg", "C:\\photos\\my\tface.jpg")
    assert (info.width, info.height, info.faces, info.builtin, info.name) == (512, 512, 1, False, "myface.jpg")
    assert info.face is not None and info.face[2] > 100
    assert store.list() == [*before, info]
    assert store.get(info.id) == info
    small = Image.open(io.BytesIO(await store.thumbnail(info.id)))
    assert small.format == "JPEG" and max(small.size) == 256
    source = store.source(info.id)
    assert isinstance(source, Path) and source.is_file()
    await store.delete(info.id)
    assert store.list() == before
    assert not source.exists() and not list(source.parent.iterdir())
    for gone in (store.get, store.source):
        with pytest.raises(NotFound):
            gone(info.id)
    with pytest.raises(NotFound):
        await store.delete(info.id)


async def test_a_strip_of_expressions(open_store: Open, photo: bytes) -> None:
    store = open_store()
    info = await store.register(photo, "image/jpeg")
    for id in (info.id, "default"):
        strip = Image.open(io.BytesIO(await store.preview(id)))
        assert strip.format == "JPEG" and strip.size == (6 * 240, 240)
        tiles = np.asarray(strip, np.float32).reshape(240, 6, 240, 3).swapaxes(0, 1)
        assert all(np.abs(tile - tiles[0]).max() > 40 for tile in tiles[1:])
    with pytest.raises(NotFound):
        await store.preview("nobody")


async def test_sizes_of_built_ins_are_true(open_store: Open) -> None:
    for info in open_store().list():
        rig = load_rig(info.id)
        assert (info.width, info.height) == (rig.width, rig.height)


async def test_the_same_upload_is_the_same_avatar(open_store: Open, photo: bytes) -> None:
    store = open_store()
    first = await store.register(photo, "image/jpeg")
    second = await store.register(photo, "image/jpeg", "another name")
    assert first == second
    assert first.id != (await store.register(variant(photo, 1), "image/jpeg")).id


async def test_a_restart_finds_what_was_registered(open_store: Open, photo: bytes) -> None:
    store = open_store()
    infos = [await store.register(variant(photo, n), "image/jpeg", f"number {n}") for n in range(3)]
    again = open_store()
    assert [info for info in again.list() if not info.builtin] == infos
    assert await again.thumbnail(infos[0].id) == await store.thumbnail(infos[0].id)


async def test_what_does_not_fit_in_the_directory_is_left_out(open_store: Open, photo: bytes) -> None:
    store = open_store()
    info = await store.register(photo, "image/jpeg")
    source = store.source(info.id)
    assert isinstance(source, Path)
    directory = source.parent
    facts = source.with_suffix(".json").read_text()
    (directory / "0123456789abcdef.json").write_text("half a fi")
    (directory / "0123456789abcdee.json").write_text(json.dumps(json.loads(facts) | {"version": 99}))
    (directory / "0123456789abcded.json").write_text(facts)  # its picture is not there
    (directory / "..json").write_text(facts)
    assert [i for i in open_store().list() if not i.builtin] == [info]


async def test_files_are_private_and_whole(open_store: Open, photo: bytes) -> None:
    store = open_store()
    source = store.source((await store.register(photo, "image/jpeg")).id)
    assert isinstance(source, Path)
    assert stat.S_IMODE(source.parent.stat().st_mode) == 0o700
    assert sorted(p.suffix for p in source.parent.iterdir()) == [".jpg", ".json"]
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in source.parent.iterdir())


@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        (b"", UnsupportedMedia, "unsupported_media"),
        (b"just a text\n" * 100, UnsupportedMedia, "unsupported_media"),
        (b"%PDF-1.7 ...", UnsupportedMedia, "unsupported_media"),
        (zip_bomb(), UnsupportedMedia, "unsupported_media"),
        (giant_png(), TooLarge, "too_large"),
        (b"\xff\xd8\xff" + bytes(20_000_001), TooLarge, "too_large"),
        (encoded(Image.new("RGB", (640, 480), "#89a")), Invalid, "no_face"),
        (encoded(Image.new("RGB", (1, 1))), Invalid, "no_face"),
        (encoded(Image.new("RGB", (9000, 2), "#89a"), "PNG"), Invalid, "no_face"),
    ],
    ids=["empty", "text", "pdf", "zip", "giant", "heavy", "no face", "one pixel", "thread"],
)
async def test_bad_uploads(open_store: Open, data: bytes, kind: type[AvatarError], code: str) -> None:
    store = open_store()
    with pytest.raises(kind) as caught:
        await store.register(data, "image/png")
    assert caught.value.code == code
    assert caught.value.message.endswith(".") and "Traceback" not in caught.value.message
    assert [info for info in store.list() if not info.builtin] == []


async def test_a_content_type_that_is_no_picture(open_store: Open, photo: bytes) -> None:
    store = open_store()
    with pytest.raises(UnsupportedMedia, match="text/html"):
        await store.register(b"<html>", "text/html; charset=utf-8")
    # The bytes decide: browsers guess types from file names.
    assert (await store.register(photo, "application/octet-stream")).faces == 1


async def test_turned_by_exif_and_cut_short(open_store: Open, photo: bytes) -> None:
    store = open_store()
    upright = await store.register(photo, "image/jpeg")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(Image.open(io.BytesIO(photo)).transpose(Image.Transpose.ROTATE_90), exif=exif, quality=95)
    info = await store.register(turned, "image/jpeg")
    assert info.face is not None and upright.face is not None
    assert np.abs(np.subtract(info.face, upright.face)).max() < 12
    with pytest.raises(UnsupportedMedia, match="cut short"):
        await store.register(photo[: len(photo) * 2 // 3], "image/jpeg")


async def test_two_faces(open_store: Open, photo: bytes) -> None:
    one = Image.open(io.BytesIO(photo))
    pair = Image.new("RGB", (900, 512), "#ccd")
    pair.paste(one, (0, 0))
    pair.paste(one.resize((320, 320)), (560, 96))
    assert (await open_store().register(encoded(pair), "image/jpeg")).faces == 2


async def test_without_the_models(tmp_path: Path, photo: bytes, models_dir: Path) -> None:
    models = tmp_path / "face"
    store = AvatarStore(tmp_path / "avatars", models)
    with pytest.raises(NotReady, match=r"python -m checkpoints\.fetch") as caught:
        await store.register(photo, "image/jpeg")
    assert caught.value.code == "face_models_missing"
    # What is no picture at all is still called that.
    with pytest.raises(UnsupportedMedia):
        await store.register(b"text", "image/jpeg")
    # Fetched while the server runs: no restart is needed.
    models.symlink_to(models_dir)
    assert (await store.register(photo, "image/jpeg")).faces == 1
    store.close()


async def test_unknown_ids_are_never_paths(open_store: Open, photo: bytes, tmp_path: Path) -> None:
    store = open_store()
    info = await store.register(photo, "image/jpeg")
    (tmp_path / "secret.jpg").write_bytes(photo)
    for id in (
        "",
        ".",
        "..",
        "../secret",
        f"./{info.id}",
        f"{info.id}.jpg",
        "/etc/passwd",
        "nobody",
        "a" * 5000,
        "\x00",
    ):
        with pytest.raises(NotFound) as caught:
            await store.thumbnail(id)
        assert len(caught.value.message) < 200


async def test_built_ins_stay(open_store: Open) -> None:
    store = open_store()
    assert store.list()[0].id == "default"
    assert store.source("default") == "default"
    with pytest.raises(Invalid) as caught:
        await store.delete("default")
    assert caught.value.code == "built_in_avatar"


async def test_there_is_room_for_so_many(open_store: Open, photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avatars, "MAX_AVATARS", 2)
    store = open_store()
    infos = [await store.register(variant(photo, n), "image/jpeg") for n in range(2)]
    with pytest.raises(AtCapacity, match="delete one") as caught:
        await store.register(variant(photo, 3), "image/jpeg")
    assert caught.value.code == "too_many_avatars"
    assert await store.register(variant(photo, 0), "image/jpeg") == infos[0]
    await store.delete(infos[0].id)
    assert (await store.register(variant(photo, 3), "image/jpeg")).faces == 1


async def test_a_crowd_of_uploads_is_bounded_and_the_loop_goes_on(open_store: Open, photo: bytes) -> None:
    store = open_store()
    results = await asyncio.gather(
        *(store.register(variant(photo, n), "image/jpeg") for n in range(20)), return_exceptions=True
    )
    refused = [r for r in results if isinstance(r, AtCapacity)]
    assert len(refused) == 12 and refused[0].retry_after_s == 3
    assert all(isinstance(r, avatars.AvatarInfo) for r in results if r not in refused)


async def test_an_upload_that_is_given_up(open_store: Open, photo: bytes) -> None:
    """Its client has gone: nothing breaks, and the next one is served."""
    store = open_store()
    tasks = [asyncio.create_task(store.register(variant(photo, n), "image/jpeg")) for n in range(3)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    assert all(isinstance(r, asyncio.CancelledError) for r in await asyncio.gather(*tasks, return_exceptions=True))
    assert (await store.register(photo, "image/jpeg")).faces == 1


async def test_a_disk_that_cannot_be_written(tmp_path: Path, photo: bytes, models_dir: Path) -> None:
    (tmp_path / "avatars").write_text("a file where the directory should be")
    store = AvatarStore(tmp_path / "avatars", models_dir)
    with pytest.raises(NotReady, match="cannot be stored"):
        await store.register(photo, "image/jpeg")
    store.close()
