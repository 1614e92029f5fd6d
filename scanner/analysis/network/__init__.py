"""Facts about network."""
