"""Which addresses the service may call: the public ones, unless the operator allows more.

A destination's name may resolve to an address inside the cluster, or to the cloud's metadata service, today or only at
the second look. So the check is made on the very address that the connection then goes to.
"""

import ipaddress
import socket
import ssl
import time
import typing
from collections.abc import Iterable

import httpcore

#: Addresses that a translator turns into IPv4 addresses: NAT64 (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class RefusedAddressError(httpcore.ConnectError):
    """The name leads to an address that the service must not call; set `allow_private_destinations` to allow it."""


def is_public(address: IPAddress) -> bool:
    """Tell whether an address is globally reachable, also as what an IPv6 form of it stands for.

    Source: the IANA special-purpose registries, as `ipaddress` holds them; multicast counts as global there, not here.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


class GuardedBackend(httpcore.SyncBackend):
    """Connects only to public addresses: resolves once, checks every answer, connects to the first.

    A connection serves one request and lives no longer than `total_seconds`, however slowly the other side drips.
    """

    def __init__(self, *, allow_private: bool, total_seconds: float) -> None:
        super().__init__()
        self._allow_private = allow_private
        self._total_seconds = total_seconds

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.NetworkStream:
        """Open the connection; TLS still verifies the name that was asked for.

        Raises `RefusedAddressError` if any address of the name may not be called.
        """
        addresses = _resolve(host, port)
        if not self._allow_private and not all(is_public(address) for address in addresses):
            raise RefusedAddressError("the destination's name leads to an address that is not public")
        deadline = time.monotonic() + self._total_seconds
        stream = super().connect_tcp(str(addresses[0]), port, timeout, local_address, socket_options)
        return _DeadlineStream(stream, deadline)

    def connect_unix_socket(self, *_: typing.Any, **__: typing.Any) -> httpcore.NetworkStream:
        """Refuse: a destination is never a file."""
        raise RefusedAddressError("the destination is a Unix socket")


class _DeadlineStream(httpcore.NetworkStream):
    """A stream whose every wait ends at one deadline; httpcore's own timeouts start anew with each byte."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def _left(self, timeout: float | None) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the whole exchange took too long")
        return left if timeout is None else min(timeout, left)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read within what is left of the time."""
        return self._stream.read(max_bytes, self._left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write within what is left of the time."""
        self._stream.write(buffer, self._left(timeout))

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Go on in TLS under the same deadline."""
        stream = self._stream.start_tls(ssl_context, server_hostname, self._left(timeout))
        return _DeadlineStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> typing.Any:
        """Tell what the stream below knows."""
        return self._stream.get_extra_info(info)


def _resolve(host: str, port: int) -> list[IPAddress]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError("the destination's name does not resolve") from error
    # A scope (`%eth0`) would make a link-local address unreadable; it is refused as what it is.
    return [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in found]
