"""Pure: attempt → delay. Deliveries have their own schedule in `state.delivery.retry_delay`."""

from __future__ import annotations

from random import Random


def backoff(attempt: int, random: Random, *, base: float = 1.0, cap: float = 300.0) -> float:
    """Seconds to wait after the `attempt`-th failure in a row (1 = the first): doubling from `base` up to `cap`.

    The result lies in the upper half of that, at random, so that what failed together does not come back together.
    """
    if attempt < 1:
        raise ValueError("attempts are counted from 1")
    longest = min(cap, base * 2.0 ** min(attempt - 1, 62))
    return longest * random.uniform(0.5, 1.0)
