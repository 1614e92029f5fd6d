"""Facts about readiness."""
