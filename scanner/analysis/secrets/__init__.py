"""Facts about secrets."""
