"""Values that every part shares: what a cluster holds, what a policy asks, what was found.

No module here does I/O. Values off the wire are `msgspec.Struct`s that drop unknown fields; values that we compute are
frozen dataclasses.
"""
