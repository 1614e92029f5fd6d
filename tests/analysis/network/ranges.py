"""Networks and addresses, one by one."""

import ipaddress
from collections.abc import Sequence


def within(address: str, network: str) -> bool:
    """Tell whether an address lies in a network."""
    parsed, block = ipaddress.ip_address(address), ipaddress.ip_network(network)
    return parsed.version == block.version and parsed in block


def is_whole(networks: Sequence[str], family: int) -> bool:
    """Tell whether these networks are all addresses of a family."""
    if family == 4:
        blocks = ipaddress.collapse_addresses(ipaddress.IPv4Network(n) for n in networks if ":" not in n)
        return ipaddress.IPv4Network("0.0.0.0/0") in blocks
    return ipaddress.IPv6Network("::/0") in map(ipaddress.IPv6Network, (n for n in networks if ":" in n))
