"""Findings as texts for people and machines; values in, text out."""
