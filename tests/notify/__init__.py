"""Sending: requests, signatures, messages."""
