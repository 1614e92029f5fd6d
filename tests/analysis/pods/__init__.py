"""Tests of `scanner.analysis.pods`."""
