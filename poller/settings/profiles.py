"""Sets of limits that fit what GoTo and Power Automate say in public about one OAuth client.

GoTo's page "Rate Limiting": 10 requests a second. Its older FAQ on clients in development: 100 a second, 10 a second
per method, 500 a day. Power Automate's connector: 100 calls per connection in 60 seconds. `safe` obeys all of these
but the daily one, which applies to clients in development only.
"""

from __future__ import annotations

from typing import Final, Literal

ProfileName = Literal["safe", "published", "power-automate", "developer"]


def _limits(second: int = 0, operation: int = 0, connection: int = 0, day: int = 0) -> dict[str, int]:
    return {
        "per_second": second,
        "per_operation_per_second": operation,
        "per_connection_per_minute": connection,
        "per_day": day,
    }


LIMITS: Final[dict[str, dict[str, int]]] = {
    "safe": _limits(second=10, operation=10, connection=100),
    "published": _limits(second=10),
    "power-automate": _limits(connection=100),
    "developer": _limits(second=100, operation=10, day=500),
}

# A target is not polled more often than this unless engine.interval says so.
INTERVALS: Final[dict[str, str]] = {
    "safe": "120s",
    "published": "5s",
    "power-automate": "120s",
    "developer": "120s",
}
