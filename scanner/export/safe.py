"""Makes what a scanned object says harmless where it is printed."""

import unicodedata

#: Control, format (bidirectional overrides among them), surrogate and line-separating characters.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def printable(text: str) -> str:
    """Replace by its escape what could move a cursor, colour a terminal or forge a line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in _UNPRINTABLE else c for c in text)
