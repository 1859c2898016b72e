"""Which addresses belong to the public internet, and a resolver that connects to no others.

A URL that someone else chose (a subscription's callback) must not reach what only this machine can: cloud metadata,
routers, databases on localhost. The name is looked up once and the connection goes to what was checked, so an answer
that changes in between gains nothing.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

# RFC 6052: how a network without IPv4 reaches an IPv4 address, which stands in the last 32 bits.
_NAT64: Final = IPv6Network("64:ff9b::/96")


class NotPublicError(OSError):
    """A name leads to an address that is not public."""


def is_public(address: str) -> bool:
    """Whether a literal IP address may be anybody's; private, shared (RFC 6598), link-local and the like are not."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv4Address):
        return _is_open(ip)
    meant = IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip.ipv4_mapped
    if meant is not None:
        return _is_open(meant)
    return _is_open(ip) and all(_is_open(inner) for inner in _tunnelled(ip))


def _is_open(ip: IPv4Address | IPv6Address) -> bool:
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _tunnelled(ip: IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses that 6to4 and Teredo send the packets to."""
    ends = [ip.sixtofour, *(ip.teredo or ())]
    return [end for end in ends if end is not None]


def literal_address(host: str) -> str | None:
    """`host` if it is an IP address, None if it is a name. Raises ValueError for numbers that are neither.

    `127.1` or `2130706433` are addresses to some programs and names to others: nobody needs them in a URL.
    """
    if ":" not in host and not host.replace(".", "").isdigit():
        return None
    return str(ip_address(host))


class PublicResolver(AbstractResolver):
    """Refuses a name as soon as one of its addresses is not public. Raises NotPublicError."""

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for result in found:
            if not is_public(result["host"]):
                raise NotPublicError(f"{host} leads to {result['host']}, which is not a public address")
        return found

    async def close(self) -> None:
        await self._inner.close()
