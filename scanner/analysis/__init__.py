"""Facts derived from a `Snapshot`; pure, and the analyses don't know each other."""
