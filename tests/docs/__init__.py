"""Tests of what is made from code."""
