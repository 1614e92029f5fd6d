"""The HTTP API: FastAPI routes by noun."""
