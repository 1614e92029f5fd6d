"""Tests of the facts that analysis derives."""
