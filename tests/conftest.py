"""What tests of every kind need of the machine: ports that stay theirs."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def unused_tcp_port_factory() -> Iterator[Callable[[], int]]:
    """Ports of 127.0.0.1 that nobody listens at, and that nobody else is given before the test has ended.

    The fixture of this name in pytest-asyncio lets a port go at once: until the test opens it, the system may give it
    to any other socket of the machine that asks for one. Here a socket stays bound to it. It does not listen, and so
    does not keep a server from the port, as servers may share an address with whoever does not listen there.
    """
    with contextlib.ExitStack() as held:

        def reserve() -> int:
            holder = held.enter_context(socket.socket())
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", 0))
            port: int = holder.getsockname()[1]
            if sys.platform != "linux":  # others share no address at all
                holder.close()
            return port

        yield reserve


@pytest.fixture
def unused_tcp_port(unused_tcp_port_factory: Callable[[], int]) -> int:
    return unused_tcp_port_factory()
