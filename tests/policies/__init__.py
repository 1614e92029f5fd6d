"""The fixtures of every policy under policies/, walked by one test."""
