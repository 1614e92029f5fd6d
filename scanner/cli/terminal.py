"""What only a person at a terminal sees: a progress bar and colours."""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator

from scanner.cli.sources import Progress
from scanner.export.table import Line

#: Style of a line to rich's.
STYLES = {
    "critical": "bold white on red",
    "high": "bold red",
    "medium": "bold yellow",
    "low": "bold blue",
    "unknown": "bold magenta",
    "pass": "green",
    "heading": "bold",
    "resource": "",
    "detail": "dim",
}


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Progress | None]:
    """Show a bar on stderr while the block runs; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[what]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=1.0, what="")

        def show(what: str, objects: int, fraction: float) -> None:
            bar.update(task, completed=fraction, what=f"{what} ({objects:,})" if objects else what)

        yield show


def print_lines(lines: Iterable[Line]) -> None:
    """Print lines, coloured on a terminal that wants it (see https://no-color.org)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        print("\n".join(line.text for line in lines))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(Text(line.text, style=STYLES.get(line.style, "")))
