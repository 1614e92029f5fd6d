"""Which release this is."""

#: Kept equal to pyproject.toml by a test; reading the installed metadata would cost 30 ms of every start.
VERSION = "0.1.0"
