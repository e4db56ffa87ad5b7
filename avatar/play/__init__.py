"""Play: what is due now goes out as RTP, what arrives comes back as sound, text and wishes for key frames.

Nothing here knows of turns, engines or faces. `peer` is the server's side of a connection, `receive` the client's.
"""
