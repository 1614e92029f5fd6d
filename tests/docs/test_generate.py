"""Reference pages say what the code does."""

import pytest

from docs.generate import PAGES, ROOT


@pytest.mark.parametrize("name", sorted(PAGES))
def test_page_is_current(name: str) -> None:
    """The committed page is what the code writes now; if not, run `make docs`."""
    assert (ROOT / name).read_text(encoding="utf-8") == PAGES[name]()
