"""IP addresses and CIDRs.

Source: k8s.io/apiserver/pkg/cel/library/{ip,cidr}.go, which are Go's net/netip.
"""

import ipaddress
import re
from typing import Any

from scanner.policy.library import Opaque, content, opaque, type_of

IP = "kubernetes.IP"
CIDR = "kubernetes.CIDR"

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: Of an IPv6 multicast address: `ff`, any flags, and the scope.
_SCOPE_MASK, _LINK_LOCAL_SCOPE = 0xFF0F, 0xFF02
_PREFIX_LENGTH = re.compile(r"0|[1-9]\d{0,2}", re.ASCII)


def _address(text: str) -> _Address:
    if "%" in text:
        raise ValueError(f"IP address {text!r} with zone value is not allowed")
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        raise ValueError(f"IPv4-mapped IPv6 address {text!r} is not allowed")
    return address


def parse_ip(text: str) -> Opaque:
    """Read an address."""
    return opaque(IP, str(_address(text)))


def is_ip(text: str) -> bool:
    """Tell whether a text is an address."""
    return _is_valid(parse_ip, text)


def is_canonical(text: str) -> bool:
    """Tell whether an address is written in the one canonical way; raises for what is no address."""
    return str(_address(text)) == text


def _of(ip: Opaque) -> _Address:
    return ipaddress.ip_address(content(ip, IP))


def family(ip: Opaque) -> int:
    """Return 4 or 6."""
    return _of(ip).version


def is_unspecified(ip: Opaque) -> bool:
    """Tell whether it is `0.0.0.0` or `::`."""
    return _of(ip).is_unspecified


def is_loopback(ip: Opaque) -> bool:
    """Tell whether it is in `127.0.0.0/8`, or `::1`."""
    return _of(ip).is_loopback


def is_link_local_multicast(ip: Opaque) -> bool:
    """Tell whether it is in `224.0.0.0/24`, or an IPv6 multicast address of scope link-local."""
    address = _of(ip)
    if isinstance(address, ipaddress.IPv4Address):
        return address in ipaddress.IPv4Network("224.0.0.0/24")
    return int.from_bytes(address.packed[:2]) & _SCOPE_MASK == _LINK_LOCAL_SCOPE


def is_link_local_unicast(ip: Opaque) -> bool:
    """Tell whether it is in `169.254.0.0/16` or `fe80::/10`."""
    return _of(ip).is_link_local


def is_global_unicast(ip: Opaque) -> bool:
    """Tell whether it is a unicast address, private ones included, that reaches beyond a link."""
    address = _of(ip)
    if str(address) == "255.255.255.255":
        return False
    return not (address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local)


def parse_cidr(text: str) -> Opaque:
    """Read a CIDR; bits beyond the prefix may be set."""
    address, slash, length = text.rpartition("/")
    if not slash or not _PREFIX_LENGTH.fullmatch(length):
        raise ValueError(f"network address parse error during conversion from string: {text!r}")
    parsed = _address(address)
    if int(length) > parsed.max_prefixlen:
        raise ValueError(f"network address parse error during conversion from string: {text!r}: prefix length")
    return opaque(CIDR, f"{parsed}/{length}")


def is_cidr(text: str) -> bool:
    """Tell whether a text is a CIDR."""
    return _is_valid(parse_cidr, text)


def _network(cidr: Opaque) -> _Network:
    return ipaddress.ip_network(content(cidr, CIDR), strict=False)


def contains_ip(cidr: Opaque, ip: Any) -> bool:
    """Tell whether a network contains an address, given as text or parsed."""
    return _of(parse_ip(ip) if isinstance(ip, str) else ip) in _network(cidr)


def contains_cidr(cidr: Opaque, other: Any) -> bool:
    """Tell whether a network contains another, given as text or parsed."""
    inner, outer = _network(parse_cidr(other) if isinstance(other, str) else other), _network(cidr)
    return inner.version == outer.version and outer.overlaps(inner) and outer.prefixlen <= inner.prefixlen


def prefix_length(cidr: Opaque) -> int:
    """Return the number of bits of the prefix."""
    return _network(cidr).prefixlen


def masked(cidr: Opaque) -> Opaque:
    """Return the network with no bits set beyond its prefix."""
    return opaque(CIDR, str(_network(cidr)))


def ip_of(cidr: Opaque) -> Opaque:
    """Return the address of a CIDR as it was written."""
    return opaque(IP, content(cidr, CIDR).partition("/")[0])


def text_of(value: Opaque) -> str:
    """Return an address or CIDR as a text."""
    text: str = content(value, CIDR if type_of(value) == CIDR else IP)
    return text


def _is_valid(parse: Any, text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
