"""Claims about use cases, on real databases."""
