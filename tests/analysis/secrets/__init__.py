"""Tests of where Secrets, tokens and credentials are."""
