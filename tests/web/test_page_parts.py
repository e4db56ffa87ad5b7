"""Parts of the page on their own, in the browser that will run them: what takes values and returns values."""

from __future__ import annotations

from typing import Any

from tests.web.browser import Server
from tests.web.visit import Visit


async def test_the_waterfall_of_stages_that_overlap(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    work = "turn => import('/web/overlay.js').then(m => m.waterfall(turn))"
    marks = {"endpoint": 300, "stt_final": 250, "llm_first_token": None, "tts_first_audio": 450, "first_sent": 500}
    rows: list[dict[str, Any]] = await page.evaluate(work, marks)
    assert [(row["stage"], row["from_ms"], row["ms"]) for row in rows] == [
        ("endpoint", 0, 300),
        ("stt_final", 300, 0),  # ready before the turn had ended: it cost nothing
        ("tts_first_audio", 300, 150),
        ("first_sent", 450, 50),
    ]
    assert await page.evaluate(work, {"endpoint": None}) == []
    # "One moment" was heard before the model had answered: the wait ended there.
    rows = await page.evaluate(work, {"endpoint": 300, "llm_first_token": 9000, "first_sent": 5200})
    assert [row["stage"] for row in rows] == ["endpoint", "first_sent"] and sum(row["ms"] for row in rows) == 5200


async def test_emphasis_is_shown_and_its_marks_are_not(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    work = """texts => import('/web/emphasis.js').then(m => texts.map(text => {
      const line = document.createElement('p');
      line.replaceChildren(...m.written(text));
      return line.innerHTML;
    }))"""
    cases = {
        "I *really* do, **all of it**.": "I <em>really</em> do, <em>all of it</em>.",
        "so *very ": "so <em>very</em>",  # the next word is still to come
        "これは**大事**です": "これは<em>大事</em>です",
        "2 * 3 * 4, a*b*c, snake_case_name": "2 * 3 * 4, a*b*c, snake_case_name",
        "<b>&": "&lt;b&gt;&amp;",
        "": "",
    }
    assert await page.evaluate(work, list(cases)) == list(cases.values())


async def test_figures_are_taken_over_the_time_between_two_readings(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    video = {"id": "v", "type": "inbound-rtp", "kind": "video", "codecId": "c", "frameWidth": 512, "frameHeight": 512}
    audio = {"id": "a", "type": "inbound-rtp", "kind": "audio", "codecId": "d"}
    common = {"jitterBufferDelay": 1.0, "jitterBufferEmittedCount": 50, "packetsLost": 10, "packetsReceived": 100}
    reading: dict[str, Any] = await page.evaluate(
        """([before, after]) => import("/web/stats.js").then((m) => {
          const report = (rows) => new Map(rows.map((row) => [row.id, row]));
          return m.digest(report(after), report(before));
        })""",
        [
            [
                video | common | {"timestamp": 1000, "bytesReceived": 1000, "framesDecoded": 10},
                audio | common | {"timestamp": 1000, "bytesReceived": 500},
            ],
            [
                video
                | {"timestamp": 3000, "bytesReceived": 101_000, "framesDecoded": 60, "freezeCount": 1}
                | {"jitterBufferDelay": 3.0, "jitterBufferEmittedCount": 100, "packetsLost": 12, "packetsReceived": 198}
                | {"estimatedPlayoutTimestamp": 10_030, "totalFreezesDuration": 0.5},
                audio
                | common
                | {"timestamp": 3000, "bytesReceived": 8500, "estimatedPlayoutTimestamp": 10_000}
                | {"packetsReceived": 1000},
                {"id": "c", "type": "codec", "mimeType": "video/VP9"},
                {"id": "d", "type": "codec", "mimeType": "audio/opus"},
                {"id": "t", "type": "transport", "selectedCandidatePairId": "p"},
                {"id": "q", "type": "candidate-pair", "nominated": True, "currentRoundTripTime": 9.0},
                {"id": "p", "type": "candidate-pair", "nominated": True, "currentRoundTripTime": 0.012},
            ],
        ],
    )
    assert reading["video"]["kbps"] == 400
    assert reading["video"]["fps"] == 25
    assert reading["video"]["loss"] == 0.02
    assert reading["video"]["jitter_ms"] == 40
    assert (reading["video"]["freezes"], reading["video"]["frozen_s"]) == (1, 0.5)
    assert reading["video"]["codec"] == "video/VP9"
    assert (reading["audio"]["kbps"], reading["audio"]["loss"], reading["audio"]["jitter_ms"]) == (32, 0, 0)
    assert reading["rtt_ms"] == 12
    assert reading["offset_ms"] == 30
    assert reading["bytes"] == 109_500


async def test_silence_is_judged_by_the_pauses_before_it(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    seen: dict[str, float] = await page.evaluate(
        """async () => {
          const { Silence } = await import("/web/silence.js");
          const silence = new Silence();
          const seen = {};
          let now = 1000;
          let pulse = 0;
          const run = (count, pause) => {
            for (let n = 0; n < count; n += 1) silence.look(String(++pulse), (now += pause));
          };
          silence.begin(now);
          run(10, 50);
          seen.young = silence.patience;
          run(100, 50);
          seen.steady = silence.patience;
          seen.silent = silence.look(String(pulse), (now += 350));
          run(1, 0);
          seen.learnt = silence.patience;
          run(2000, 50);
          seen.forgotten = silence.patience;
          now += 2000;
          silence.excuse();
          run(1, 0);
          seen.excused = silence.patience;
          now += 2000;
          run(1, 0);
          seen.longest = silence.patience;
          silence.begin(now);
          seen.again = silence.patience;
          return seen;
        }"""
    )
    assert (seen["young"], seen["again"], seen["steady"], seen["silent"]) == (700, 700, 400, 350)
    assert 1000 < seen["learnt"] <= 1050
    assert (seen["forgotten"], seen["excused"], seen["longest"]) == (400, 400, 1500)


async def test_captions_wait_for_their_sound(visit: Visit, server: Server) -> None:
    page = await visit.open(server)
    seen: dict[str, list[str]] = await page.evaluate(
        """async () => {
          const { Captions } = await import("/web/captions.js");
          const line = document.createElement("p");
          const texts = [];
          let now = 10;
          const captions = new Captions(line, () => now);
          captions.addEventListener("spoken", ({ detail }) => texts.push(detail.text));
          const soon = () => new Promise((resolve) => setTimeout(resolve, 250));
          const out = {};
          captions.add({ turn_id: "1", text: "one", start_s: 9.9, end_s: 10.5 });
          captions.add({ turn_id: "1", text: "two", start_s: 12, end_s: 13 });
          captions.add({ turn_id: "1", text: "three", start_s: 14, end_s: 15 });
          await soon();
          out.first = [...texts, line.textContent];
          now = 12.01;
          await soon();
          out.second = [...texts, line.textContent];
          captions.cut("1");
          now = 14.01;
          await soon();
          out.cut = [...texts];
          captions.add({ turn_id: "2", text: "a clock that makes no sense", start_s: 9000, end_s: 9001 });
          out.astray = [...texts].slice(-1);
          now = null;
          captions.add({ turn_id: "3", text: "no clock at all", start_s: 1, end_s: 2 });
          out.blind = [...texts].slice(-1);
          captions.clear();
          out.cleared = [line.textContent];
          return out;
        }"""
    )
    assert seen == {
        "first": ["one", "one"],
        "second": ["one", "two", "two"],
        "cut": ["one", "two"],
        "astray": ["a clock that makes no sense"],
        "blind": ["no clock at all"],
        "cleared": [""],
    }


async def test_relays_whose_credentials_have_run_out_are_not_used(visit: Visit, server: Server) -> None:
    """One such server in the list, and the page would have no relay until its second attempt."""
    page = await visit.open(server)
    work = "([servers, now]) => import('/web/call.js').then(m => m.usable(servers, now).length)"
    stun = {"urls": ["stun:stun.example.org"]}
    relay = {"urls": ["turn:turn.example.org"], "username": "1700000000:avatar", "credential": "x"}
    assert await page.evaluate(work, [[stun, relay], 1_699_999_999_000]) == 2
    assert await page.evaluate(work, [[stun, relay], 1_700_000_000_000]) == 0
    assert await page.evaluate(work, [[stun, {**relay, "username": "fixed"}], 1_800_000_000_000]) == 2
