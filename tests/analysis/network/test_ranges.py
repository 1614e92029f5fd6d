"""The first address of a range is found at once for neighbours, and is what looking each up would give."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from scanner.analysis.network.addresses import AddressSpace, address_place, network_span, range_text
from scanner.analysis.network.kept import Ranges

_CUTS = st.lists(
    st.builds(
        lambda last, prefix: network_span(f"10.0.{last // 256}.{last % 256}/{prefix}"),
        st.integers(0, 1023),
        st.integers(20, 32),
    )
)
_TEXTS = st.one_of(
    st.integers(0, 1023).map(lambda last: str(ipaddress.IPv4Address(f"10.0.{last // 256}.{last % 256}"))),
    st.sampled_from(["10.0.0.300", "10.0.0.01", "010.0.0.1", "::ffff:10.0.0.1", "fd00::1", "10.0.0", "x.1", ".1"]),
)


@given(cuts=_CUTS, asked=st.lists(_TEXTS))
def test_neighbours_have_the_address_that_each_would_have(cuts: list[tuple[int, int]], asked: list[str]) -> None:
    """Whatever was asked before, and where neighbours are told apart; what is no address stays as it is."""
    space = AddressSpace.cut_at(cuts)
    ranges = Ranges(space)
    assert [ranges.first(text) for text in asked] == [_alone(space, text) for text in asked]


def _alone(space: AddressSpace, text: str) -> str:
    try:
        start = space.range(space.number_of(address_place(text)))[0]
    except ValueError:
        return text
    return range_text((start, start)).partition("-")[0]
