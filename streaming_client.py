#!/usr/bin/env python3
"""The command-line peer of the avatar server: see `python streaming_client.py --help`."""

import sys

from client.cli import main

if __name__ == "__main__":
    sys.exit(main())
