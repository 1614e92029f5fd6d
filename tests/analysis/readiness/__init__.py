"""Tests of `scanner.analysis.readiness`."""
