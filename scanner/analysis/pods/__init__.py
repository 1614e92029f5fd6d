"""Facts about pods."""
