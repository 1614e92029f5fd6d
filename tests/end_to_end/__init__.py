"""The whole product against real services."""
