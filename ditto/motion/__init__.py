"""Motion: from features of sound to key points of a face. Pure functions and values; no network is defined here."""
