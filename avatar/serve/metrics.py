"""`/metrics`: what the process counts, in Prometheus' text format."""

from __future__ import annotations

import asyncio
import os
import threading
from statistics import median
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from ..draft import Ledger
from ..face.motions import Motions
from ..quality import BARS, Alarm
from ..speak.cache import CachingTTS
from ..turns import STAGES

BUCKETS_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.3, 2.0, 3.0, 5.0, 10.0)
"""Around what people notice: 200 ms is human, 800 ms is good, 2 s is what they leave for."""
QUALITY = (
    *(bar.figure for bar in BARS),
    *("kbps", "target_kbps", "estimate_kbps", "fps"),
    *("mic_lost", "mic_recovered", "mic_concealed_ms"),
)


class Metrics:
    """One registry a process; sessions report to it through `turn`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.sessions = Gauge("avatar_sessions", "Live sessions", registry=self.registry)
        self.limit = Gauge("avatar_sessions_limit", "Admission limit", registry=self.registry)
        self.opened = Gauge("avatar_sessions_opened", "Sessions opened since start", registry=self.registry)
        self.refused = Gauge("avatar_sessions_refused", "Offers refused for want of room", registry=self.registry)
        self.tasks = Gauge("avatar_tasks", "Asyncio tasks", registry=self.registry)
        self.threads = Gauge("avatar_threads", "Threads", registry=self.registry)
        self.files = Gauge("avatar_open_files", "Open file descriptors", registry=self.registry)
        self.frames = Gauge("avatar_frames_sent", "Pictures sent by live sessions", registry=self.registry)
        self.dropped = Gauge("avatar_frames_dropped", "Pictures dropped by live sessions", registry=self.registry)
        self.cache_hits = Gauge("avatar_voice_cache_hits", "Clauses spoken from memory", registry=self.registry)
        self.cache_misses = Gauge("avatar_voice_cache_misses", "Clauses synthesised", registry=self.registry)
        self.cache_bytes = Gauge("avatar_voice_cache_bytes", "Sound kept in memory", registry=self.registry)
        self.tokens_used = Gauge("avatar_llm_tokens_used", "Tokens of replies that were wanted", registry=self.registry)
        self.tokens_wasted = Gauge(
            "avatar_llm_tokens_wasted", "Tokens of replies drafted in vain", registry=self.registry
        )
        self.ahead = Counter(
            "avatar_turn_stages_ahead",
            "Stages that were done before the turn was certain",
            ["stage"],
            registry=self.registry,
        )
        self.motion_hits = Gauge("avatar_motion_cache_hits", "Clauses whose motion was known", registry=self.registry)
        self.motion_misses = Gauge("avatar_motion_cache_misses", "Clauses whose motion was new", registry=self.registry)
        self.motion_frames = Gauge("avatar_motion_cache_frames", "Pictures' motion kept", registry=self.registry)
        self.turns = Counter(
            "avatar_turns", "Turns by kind and end", ["kind", "interrupted", "failed"], registry=self.registry
        )
        self.stages = Histogram(
            "avatar_turn_stage_seconds",
            "A turn's stages, after the end of the user's speech",
            ["stage"],
            buckets=BUCKETS_S,
            registry=self.registry,
        )

        self.alarms = Counter("avatar_alarms", "Alarms of the connections' quality", ["figure"], registry=self.registry)
        self.quality = Gauge(
            "avatar_quality", "Newest figures of live sessions, by end", ["figure", "end", "of"], registry=self.registry
        )
        self.troubled = Gauge("avatar_sessions_troubled", "Live sessions with an alarm", registry=self.registry)
        self.viewers = Gauge("avatar_viewers", "Who only watches", registry=self.registry)

    def alarm(self, alarm: Alarm) -> None:
        """Counts an alarm that is raised."""
        if alarm.raised:
            self.alarms.labels(alarm.figure).inc()

    def _render_quality(self, sessions: list[Any]) -> None:
        """The median and the worst of each figure over the live sessions."""
        self.quality.clear()
        newest = [session.quality.ring[-1] for session in sessions if session.quality.ring]
        ends = {"server": newest, "client": [sample["client"] for sample in newest if "client" in sample]}
        for end, samples in ends.items():
            for figure in QUALITY:
                values = [s[figure] for s in samples if isinstance(s.get(figure), int | float)]
                if values:
                    self.quality.labels(figure, end, "median").set(median(values))
                    self.quality.labels(figure, end, "worst").set(max(values, key=abs))
        self.troubled.set(sum(bool(session.quality.alarms) for session in sessions))
        self.viewers.set(sum(len(session.audience) for session in sessions))

    def turn(self, record: dict[str, Any]) -> None:
        """Counts a finished turn."""
        self.turns.labels(record["kind"], str(record["interrupted"]).lower(), str(bool(record["error"])).lower()).inc()
        for stage in record["ahead_ms"]:
            self.ahead.labels(stage).inc()
        for stage in STAGES:
            if record[stage] is not None:
                self.stages.labels(stage).observe(max(0.0, record[stage]) / 1000)

    def render(self, sessions: Any, voice: CachingTTS | None, drafts: Ledger, motions: Motions) -> bytes:
        """The text for a scraper, with the gauges read now; `voice` is None until one is loaded."""
        self.tokens_used.set(drafts.used)
        self.tokens_wasted.set(drafts.wasted)
        if voice is not None:
            self.cache_hits.set(voice.hits)
            self.cache_misses.set(voice.misses)
            self.cache_bytes.set(voice.size)
        self.motion_hits.set(motions.hits)
        self.motion_misses.set(motions.misses)
        self.motion_frames.set(motions.frames)
        live = sessions.all()
        self.sessions.set(len(live))
        self.limit.set(sessions.limit)
        self.opened.set(sessions.opened)
        self.refused.set(sessions.refused)
        self.tasks.set(len(asyncio.all_tasks()))
        self.threads.set(threading.active_count())
        self.files.set(_open_files())
        stats = [session.peer.stats() for session in live if session.peer is not None]
        self._render_quality(live)
        self.frames.set(sum(row.get("frames_sent", 0) for row in stats))
        self.dropped.set(sum(row.get("frames_dropped", 0) for row in stats))
        return generate_latest(self.registry)


def _open_files() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:  # not a Linux
        return -1
