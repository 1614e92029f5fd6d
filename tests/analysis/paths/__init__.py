"""Tests of what follows from several analyses."""
