"""The command-line peer: a real WebRTC client that speaks, listens, records and measures.

Data flows one way: peer → meters and recorder → report. Nothing here knows how the server works beyond its published
routes, its data channel and its media.
"""
