"""The ears: the microphone's sound becomes utterances, and utterances become text."""
