"""Texts: values in, text out."""
