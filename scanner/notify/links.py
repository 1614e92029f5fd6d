"""Where a message leads."""


def finding_link(public_url: str, finding: str) -> str:
    """Return the address of one finding."""
    return f"{public_url.rstrip('/')}/api/v1/findings/{finding}"


def findings_link(public_url: str) -> str:
    """Return the address of the open findings."""
    return f"{public_url.rstrip('/')}/api/v1/findings"
