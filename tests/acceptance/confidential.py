"""What must never be said aloud: people, tokens, secrets, join links."""

from __future__ import annotations

import re
from collections.abc import Sequence

from poller.simulator import Registrant, Simulator
from poller.simulator.meeting_model import Attended

_WORD = re.compile(r"[^\W\d_]{2,}")
_NEVER = re.compile(
    r"simulated-\w+-[0-9a-f]{8,}"  # every token and code of the simulator
    r"|https?://[^\s\"']*/join/\S+"
    r"|whsec_[A-Za-z0-9+/=]+"
    r"|Bearer \w\S+"
    r"|[\w.+-]+@[\w-]+\.[\w.]*\w"  # addresses of e-mail
)


def leaks(text: str, simulator: Simulator, secrets: Sequence[str] = ()) -> list[str]:
    """Everything confidential that occurs in `text`. Surnames stand for names: no ordinary word is one of them."""
    known = [fact.thing for fact in simulator.world.truth.all()]
    names = {thing.last_name for thing in known if isinstance(thing, Registrant)}
    names |= {thing.visitor.name.split()[-1] for thing in known if isinstance(thing, Attended)}
    names |= {person.last_name for person in simulator.world.people}
    said = names.intersection(_WORD.findall(text))
    return [*_NEVER.findall(text), *said, *(s for s in (Simulator.client_secret, *secrets) if s in text)]
