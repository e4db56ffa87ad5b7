"""The table of tunables: what is taken, what is refused, and that refusals name the field."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.errors import Invalid
from avatar.tunables import TABLE, Tunables, describe, update


def test_what_is_set_by_its_own_name_is_remembered_and_null_gives_it_back() -> None:
    defaults = Tunables()
    one = update(defaults, {"intensity": 1.0, "preset": "lively", "fps": 10})
    assert one.told == {"intensity"} and "told" not in one.as_json()
    two = update(one, {"emotion": "neutral", "gaze_x": 3.0}, live=True)
    assert two.told == {"intensity", "emotion", "gaze_x"} and update(two, {"preset": "calm"}).told == two.told
    back = update(two, {"gaze_x": None, "intensity": None, "emotion": None}, live=True)
    assert back.told == frozenset() and (back.gaze_x, back.intensity, back.emotion) == (0.0, 1.0, "neutral")
    with pytest.raises(Invalid, match="told"):
        update(defaults, {"told": ["intensity"]})


def test_every_default_is_valid_and_the_table_is_json() -> None:
    defaults = Tunables()
    assert update(defaults, defaults.as_json()) == defaults
    rows = json.loads(json.dumps(describe(defaults)))
    assert rows["frame_scale"] | {"effect": ""} == {
        "default": 0.5,
        "type": "number",
        "min": 0.1,
        "max": 1.0,
        "choices": None,
        "live": True,
        "when": "frame",
        "nullable": False,
        "preset": False,
        "effect": "",
    }
    assert all(row["effect"].endswith(".") for row in rows.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frame_scale", 0.1),
        ("frame_scale", 1),
        ("fps", 5),
        ("fps", 30),
        ("sampling_timesteps", 50),
        ("chunk_config", [1, 1, 1]),
        ("chunk_config", [10, 20, 10]),
        ("bitrate_kbps", "auto"),
        ("bitrate_kbps", 50),
        ("codec", "av1"),
        ("voice", None),
        ("instructions", "Be brief."),
        ("interruptible", False),
    ],
)
def test_values_at_the_borders_are_taken(name: str, value: Any) -> None:
    assert update(Tunables(), {name: value}).as_json()[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frame_scale", 0.09),
        ("frame_scale", 1.01),
        ("frame_scale", math.nan),
        ("frame_scale", math.inf),
        ("frame_scale", "0.5"),
        ("frame_scale", 10**400),
        ("fps", -(10**400)),
        ("language", "klingon"),
        ("language", "e"),
        ("frame_scale", True),
        ("frame_scale", None),
        ("fps", 25.0),
        ("fps", 4),
        ("fps", 31),
        ("sampling_timesteps", 2.5),
        ("sampling_timesteps", True),
        ("sampling_timesteps", 0),
        ("chunk_config", [3, 5]),
        ("chunk_config", [3, 5, 2, 1]),
        ("chunk_config", [0, 5, 2]),
        ("chunk_config", [3, 21, 2]),
        ("chunk_config", [3, 5, 2.0]),
        ("chunk_config", "3,5,2"),
        ("bitrate_kbps", 49),
        ("bitrate_kbps", "fast"),
        ("codec", "h265"),
        ("codec", ["vp9"]),
        ("mode", "listen"),
        ("avatar", ""),
        ("avatar", None),
        ("instructions", "x" * 5000),
        ("interruptible", 1),
        ("greet", "yes"),
        ("sharpness", 3),
    ],
)
def test_wrong_values_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(Invalid) as refusal:
        update(Tunables(), {"fps": 20, name: value} if name != "fps" else {name: value})
    assert refusal.value.field == name
    assert refusal.value.status == 422
    assert name in refusal.value.message


def test_what_is_fixed_at_the_offer_stays_while_the_session_runs() -> None:
    base = Tunables()
    assert update(base, {"codec": "vp9", "fps": 10}, live=True).fps == 10
    with pytest.raises(Invalid):
        update(base, {"codec": "vp8"}, live=True)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(TABLE)) | st.text(max_size=8), json_values, max_size=4))
def test_any_json_is_taken_whole_or_refused_in_words(changes: dict[str, Any]) -> None:
    try:
        result = update(Tunables(), changes)
    except Invalid as refusal:
        assert refusal.field in changes
    else:
        assert update(result, result.as_json()) == result
