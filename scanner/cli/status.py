"""The exit statuses; scripts depend on them."""

import enum


class ExitStatus(enum.IntEnum):
    """What a command's end means."""

    DONE = 0
    #: Findings at or above `--fail-on`.
    FINDINGS = 1
    #: Bad usage or input, with one clear line on stderr; argparse uses the same number.
    BAD_INPUT = 2
    #: The scan is incomplete; coverage says what is missing.
    INCOMPLETE = 3
    #: Ended by Ctrl-C, as shells report it: 128 + SIGINT.
    INTERRUPTED = 130
