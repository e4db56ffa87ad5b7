"""One run: connect, carry out the scenario, end the session, finish the recording, report."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from typing import Any

from avatar.play.receive import IceServer

from . import report, scenario
from .api import Api
from .conversation import Conversation, client_ready
from .credentials import find_token
from .exits import ClientError, Lost, Refused, TimedOut
from .media import Media
from .microphone import Microphone
from .options import Options
from .peer import Peer
from .progress import Progress
from .quality import EVERY_S, Reading, digest
from .recorder import Recorder

log = logging.getLogger(__name__)

WARM_S = 120.0
"""How long the server's engines are waited for; after that the server may say itself what is wrong."""
WARM_EVERY_S = 0.5
CONNECTED_S = 20.0
"""ICE and DTLS on the slowest network worth talking over."""
DIRECT_S = 3.0
"""The same without relays, where the server names some: a direct path is there at once or never."""
COME_BACK_S = 60.0
"""A lost session is kept this long by the server."""
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 8.0
REFUSALS = 3
"""Times that nobody listens at the server's port: it has ended, and its sessions with it."""
"""Between attempts to get a lost connection back."""
GOODBYE_S = 3.0
"""For ending the session: a server that is gone must not hold up the recording."""


class Run:
    """Holds what must be put in order at the end, whichever way it comes."""

    def __init__(self, options: Options, show: Progress) -> None:
        self._options = options
        self._show = show
        self._talk = Conversation(self._told)
        self._recorder = (
            Recorder(options.output, microphone=options.mic_path is not None) if options.output is not None else None
        )
        self._media = Media(self._recorder)
        self._microphone: Microphone | None = None
        self._peer: Peer | None = None
        self._relays: Sequence[IceServer] = ()
        self._effective: dict[str, Any] = {}

    async def go(self) -> None:
        """Raises a `ClientError` for every end but a good one. Whatever the end, the session is closed, and what was
        received is recorded and reported."""
        options = self._options
        async with Api(options.server, find_token(options.token, options.server)) as api:
            try:
                async with asyncio.timeout(options.timeout_s) as limit:
                    await self._scenario(api)
            except TimeoutError:
                if not limit.expired():
                    raise
                raise TimedOut(f"It took longer than {options.timeout_s:g} s.") from None
            finally:
                await self._finish(api)

    async def _scenario(self, api: Api) -> None:
        options, show = self._options, self._show
        if options.mode == "converse":
            self._microphone = Microphone(options.mic_path, self._media.microphone)
            await self._microphone.ready()
        await self._warm(api)
        tunables = options.tunables | {"mode": options.mode}
        if options.source_path is not None:
            show.stage("uploading the portrait")
            tunables["avatar"] = (await api.register(options.source_path))["avatar"]
        show.stage("connecting")
        relays = await self._dial(api, tunables, (), DIRECT_S)
        if relays:
            assert self._peer is not None
            await self._hang_up(api, self._peer)
            tried, relays = relays, await self._dial(api, tunables, relays, CONNECTED_S)
            relays = tried
        if self._peer is None or not self._peer.connected.is_set():
            raise Lost(f"There is no media connection: is UDP to {options.server} blocked?")
        show.note(f"session {self._peer.session_id}")
        self._relays = relays
        await self._act(api, self._peer)

    async def _dial(
        self, api: Api, tunables: dict[str, Any], servers: Sequence[IceServer], patience_s: float
    ) -> list[IceServer]:
        """Connects. Returns the relays worth trying when that failed though the server answered."""
        peer = self._peer = Peer(self._media, self._microphone, str(tunables.get("codec", "vp9")), servers)
        answer = await peer.connect(api, tunables)
        self._retune(answer.get("session"))
        relays = [] if servers else _relays(answer.get("ice_servers"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s if relays else CONNECTED_S):
                await peer.connected.wait()
        return [] if peer.connected.is_set() else relays

    async def _hang_up(self, api: Api, peer: Peer) -> None:
        """Ends the session and closes the connection, in whatever state they are."""
        await peer.stop()
        if peer.session_id is not None:
            with contextlib.suppress(ClientError, TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await api.end(peer.session_id)
        await peer.close()

    async def _act(self, api: Api, peer: Peer) -> None:
        """The scenario itself, beside what listens to the data channel and keeps the connection."""
        assert peer.session_id is not None
        scene = scenario.Scene(
            self._options, api, peer.session_id, self._talk, self._media, self._microphone, self._show
        )
        play = scenario.speak if self._options.mode == "speak" else scenario.converse
        acting = asyncio.ensure_future(play(scene))
        keeping = asyncio.ensure_future(self._keep(api, peer))
        try:
            await asyncio.wait({acting, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if not acting.done():
                await keeping  # raises why the connection is gone for good
            await acting
        finally:
            for task in (acting, keeping):
                task.cancel()
            await asyncio.gather(acting, keeping, return_exceptions=True)

    async def _keep(self, api: Api, peer: Peer) -> None:
        """Listens to one connection after the other, all of the same session. Raises `Lost` when there is none any
        more."""
        while True:
            beside = [asyncio.create_task(self._hear(peer)), asyncio.create_task(self._tell(api, peer))]
            try:
                peer.send_text(client_ready())
                await peer.closed.wait()
            finally:
                for task in beside:
                    task.cancel()
            peer = await self._come_back(api, peer)

    async def _hear(self, peer: Peer) -> None:
        async for text, now in peer.texts():
            self._talk.receive(text, now)

    async def _tell(self, api: Api, peer: Peer) -> None:
        """Tells the server's monitor what arrives here."""
        assert peer.session_id is not None
        before: Reading | None = None
        while True:
            await asyncio.sleep(EVERY_S)
            now = peer.reading()
            with contextlib.suppress(ClientError):  # whoever keeps the connection hears of it there
                await api.report(peer.session_id, digest(now, before, self._media))
            before = now

    async def _come_back(self, api: Api, lost: Peer) -> Peer:
        """Another connection to the session of one that was lost. The waits between the attempts grow and are drawn at
        random, so that the clients of a server that restarts do not all come at one moment. Raises `Lost` when the
        session is over, or after the minute that the server keeps it."""
        loop = asyncio.get_running_loop()
        words = " ".join(["The connection was lost.", *self._talk.errors[-1:]])
        if lost.left or lost.session_id is None:
            raise Lost(words)
        self._show.note("The connection was lost; trying to get it back.")
        await lost.stop()
        end = loop.time() + COME_BACK_S
        wait, refused = FIRST_WAIT_S, 0
        while loop.time() < end:
            peer = Peer(self._media, self._microphone, str(self._options.tunables.get("codec", "vp9")), self._relays)
            try:
                await api.session(lost.session_id)  # an offer that names no session would begin another one
                async with asyncio.timeout(DIRECT_S + wait):
                    answer = await peer.connect(api, {}, lost.session_id)
                    # For the next attempt: the direct way may be barred by now, and older credentials have run out.
                    self._relays = _relays(answer.get("ice_servers"))
                    await peer.connected.wait()
                self._peer = peer
                self._show.note("The connection is back.")
                await lost.close()  # not before: to close it is to leave
                return peer
            except Refused as refusal:
                await peer.close()
                if refusal.status == 404:
                    raise Lost(words) from None
            except Lost as gone:
                await peer.close()
                refused += gone.refused
                if refused > REFUSALS:
                    raise Lost(words) from None
            except TimeoutError:
                await peer.close()
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(LONGEST_WAIT_S, 2 * wait)
        raise Lost(words)

    async def _warm(self, api: Api) -> None:
        """Waits for the engines, so that the first turn pays for none."""
        deadline = asyncio.get_running_loop().time() + WARM_S
        while (missing := await api.ready()) and asyncio.get_running_loop().time() < deadline:
            self._show.stage(f"waiting for the server: {missing}")
            self._show.advance()
            await asyncio.sleep(WARM_EVERY_S)

    async def _finish(self, api: Api) -> None:
        self._show.close()
        peer, options = self._peer, self._options
        if peer is not None:
            await self._hang_up(api, peer)
        self._media.finish()
        try:
            if self._recorder is not None:
                await self._recorder.close()
                if self._recorder.left_out:
                    self._show.note(f"{self._recorder.left_out} pictures were too many for the recording's encoder.")
        finally:
            if options.report is not None and peer is not None and peer.session_id is not None:
                made = await asyncio.to_thread(report.build, peer.facts(), self._effective, self._media, self._talk)
                report.write(made, options.report)

    def _retune(self, effective: Any) -> None:
        """The session's effective tunables are known, or have changed."""
        if not isinstance(effective, dict):
            return
        self._effective = effective
        fps = effective.get("fps")
        if self._recorder is not None and isinstance(fps, int) and fps > 0:
            self._recorder.interval = 1 / fps

    def _told(self, kind: str, data: dict[str, Any], now: float) -> None:
        """The server told something: what concerns the media or the person goes on from here."""
        match kind:
            case "bot-started-speaking":
                self._media.listen(now)
            case "session":
                self._retune(self._effective | self._talk.session)
            case "user-transcription" if data.get("final"):
                self._show.note(f"user: {data.get('text')}")
            case "turn" if data.get("reply_text"):
                heard = str(data.get("heard_text") or data["reply_text"])
                self._show.note(f"avatar: {heard}" + (" …" if data.get("interrupted") else ""))
            case "error" | "error-response" if self._talk.errors:
                self._show.note(f"server: {self._talk.errors[-1]}")


def _relays(listed: Any) -> list[IceServer]:
    """The `ice_servers` of an answer, as browsers take them."""
    servers = []
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict) and entry.get("urls"):
            urls = entry["urls"] if isinstance(entry["urls"], list) else [entry["urls"]]
            servers.append(IceServer(tuple(map(str, urls)), entry.get("username"), entry.get("credential")))
    return servers
