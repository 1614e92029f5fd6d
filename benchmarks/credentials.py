"""How many credentials are found, and how many false alarms there are, on the labelled set; beside detect-secrets.

`uv run --with detect-secrets==1.5.0 python -m benchmarks.credentials`
"""

from collections.abc import Callable

from tests.credentials import Case, cases, is_found


def detect_secrets() -> Callable[[Case], bool]:
    """Return detect-secrets with its defaults; what has a name is given to it as an assignment, its best case."""
    from detect_secrets.core.scan import scan_line  # type: ignore[import-not-found] # noqa: PLC0415 - only here
    from detect_secrets.settings import default_settings  # type: ignore[import-not-found] # noqa: PLC0415 - only here

    def found(case: Case) -> bool:
        lines = case.text.splitlines()
        if case.place not in {"configmap", "args"}:
            lines = [f'{case.name}="{line}"' for line in lines]
        with default_settings():
            return any(True for line in lines for _ in scan_line(line))

    return found


def main() -> None:
    """Print precision and recall of both."""
    for name, finds in (("plimsoll", is_found), ("detect-secrets", detect_secrets())):
        for part in ("tuned", "held"):
            labelled = [case for case in cases() if case.part == part]
            alarms = [case for case in labelled if finds(case)]
            right = sum(case.credential for case in alarms)
            recall = right / sum(case.credential for case in labelled)
            print(f"{name:15} {part:6} precision {right / len(alarms):.3f} recall {recall:.3f}")


if __name__ == "__main__":
    main()
