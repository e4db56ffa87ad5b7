"""Ditto's six networks, with the published checkpoints' keys and shapes. Needs torch; nothing else of `ditto` does."""
