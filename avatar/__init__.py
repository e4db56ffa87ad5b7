"""The live service: one conversation, from the microphone to the lips."""
