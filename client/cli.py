"""The command line: options in, exit code out. Standard output carries the report alone."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Sequence

from .exits import DONE, INTERRUPTED, ClientError
from .options import Options, parse
from .progress import Progress
from .run import Run

SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def _run(options: Options, show: Progress) -> int:
    """The exit code. A signal ends the run in good order: the recording is finished, the session closed."""
    run = asyncio.ensure_future(Run(options, show).go())
    caught: list[int] = []
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        caught.append(number)
        run.cancel()
        loop.remove_signal_handler(number)  # a second one ends the program at once

    for number in SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        await run
    except asyncio.CancelledError:
        if not caught:
            raise
        return 128 + caught[0]
    return DONE


def main(argv: Sequence[str] | None = None) -> int:
    show = Progress()
    try:
        options = parse(argv)
        logging.basicConfig(
            level=logging.DEBUG if options.verbose else logging.ERROR, format="%(asctime)s %(name)s: %(message)s"
        )
        return asyncio.run(_run(options, show))
    except ClientError as error:
        show.note(str(error))
        return error.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # standard output was closed: the reader wants no more
        sys.stderr.close()
        return DONE
