"""What a recogniser writes when nobody spoke. A pure core."""

from __future__ import annotations

_STOCK_PHRASES = frozenset(
    {
        "thanks for watching",
        "thank you for watching",
        "please subscribe",
        "subtitles by the amara.org community",
        "ご視聴ありがとうございました",
        "ご視聴ありがとうございます",
        "チャンネル登録お願いします",
        "字幕由amara.org社区提供",
        "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目",
        "시청해주셔서 감사합니다",
    }
)
"""Whisper, trained on subtitles, writes these over noise; nobody says them to a face."""


def is_stock_phrase(text: str) -> bool:
    """Whether the whole text is something that only subtitles say."""
    return text.casefold().strip(" .!。！") in _STOCK_PHRASES


def is_wordless(text: str) -> bool:
    """Whether the text holds no letter and no digit: "…", "♪", "- -"."""
    return not any(c.isalnum() for c in text)
