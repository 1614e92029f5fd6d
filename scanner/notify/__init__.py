"""Sends one delivery to one destination; knows nothing of the store."""
