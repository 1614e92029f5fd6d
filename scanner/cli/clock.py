"""The command line's clock: the one place here that asks for the time."""

import datetime as dt


def now() -> dt.datetime:
    """Return the current time in UTC."""
    return dt.datetime.now(dt.UTC)  # noqa: TID251 - the shell asks the clock
