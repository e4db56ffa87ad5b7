"""Makes the weights of the mouth's net from synthetic speech whose phoneme times are known. Not part of the service."""
