"""What the loops have learnt, kept in the state for the next process and for those who only look."""

from __future__ import annotations

import msgspec

from poller.rates import Experience
from state.store import Store

_RATES = "rates"


async def recall(store: Store, experience: Experience) -> bool:
    """Go on from what was kept. False: it cannot be read, and will be learnt anew."""
    text = await store.memory(_RATES)
    try:
        if text is not None:
            experience.restore(msgspec.json.decode(text, type=dict[str, dict[str, list[float]]]))
    except msgspec.MsgspecError:
        return False
    return True


async def keep(store: Store, experience: Experience) -> None:
    """Raises StateError."""
    await store.remember(_RATES, msgspec.json.encode(experience.dump()).decode())
