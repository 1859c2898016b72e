"""For tests of everything that plugs into the engine: a clock that moves when told to, and what every sink must do.

`poller.testing.sinks` needs pytest and pytest-asyncio; the rest needs nothing.
"""

from poller.testing.clock import START, FakeClock
from poller.testing.relay import Relay

__all__ = ["START", "FakeClock", "Relay"]
