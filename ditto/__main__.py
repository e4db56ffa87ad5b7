"""`python -m ditto COMMAND …`: see `python -m ditto --help`."""

from __future__ import annotations

import argparse
import importlib
import sys

from .errors import DittoError

COMMANDS = {
    "render": "films a portrait that speaks a recording",
    "doctor": "checks driver, versions, files, engines and memory, and says how to mend what is wrong",
    "export": "writes warp and decoder as standard ONNX",
    "build": "builds TensorRT engines for this machine's GPU",
    "bench": "measures what rendering costs and what delay the settings bring",
    "testweights": "writes a complete checkpoint that anybody can make, for tests",
}
"""Each is a module `ditto.cli_NAME` with `arguments(parser)` and `run(args) -> int`, imported when it is asked for."""


def main(argv: list[str] | None = None) -> int:
    given = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m ditto", description="The neural face.")
    choices = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    wanted = next((word for word in given if word in COMMANDS), "")
    module = importlib.import_module(f"ditto.cli_{wanted}") if wanted else None
    for name, what in COMMANDS.items():
        sub = choices.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        if module is not None and name == wanted:
            module.arguments(sub)
    args = parser.parse_args(given)
    assert module is not None
    try:
        return int(module.run(args))
    except DittoError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
