"""Named points at which a test may kill, break or stall the process, armed through the environment.

    POLLER_FAILPOINTS="commit.inside=kill@3,send.after=stall:2"

kills the process (SIGKILL to itself, as a power cut would) the third time it is inside the transaction of a poll, and
stalls two seconds after every send. `raise` raises an OSError. Nothing happens, at the cost of one dict look-up, when
nothing is armed.
"""

from __future__ import annotations

import os
import re
import signal
import time
from dataclasses import dataclass

NAMES = frozenset(
    {
        "poll.fetched",  # all pages are here, nothing is decided
        "commit.inside",  # rows are written, the transaction is open
        "commit.done",  # committed, nobody knows yet
        "send.before",  # leased, not sent
        "send.after",  # the sink has it, the state does not know
        "deliver.settled",  # the state knows, the loop goes on
        "token.received",  # a new token is in memory only
        "token.saved",  # the new token is durable, nobody used it
        "migrate.inside",  # a migration's statements ran, uncommitted
        "backup.inside",  # half of the pages are copied
        "shutdown",  # the loops have stopped, the state is still open
    }
)

_ACTION = re.compile(r"kill|raise|stall:\d+(\.\d+)?")


@dataclass
class _Armed:
    action: str
    at: int  # strike at this visit only; 0 = at every visit
    visits: int = 0


def _parse(text: str) -> dict[str, _Armed]:
    armed = {}
    for part in filter(None, text.split(",")):
        name, _, action = part.partition("=")
        action, _, at = action.partition("@")
        if name not in NAMES:
            raise ValueError(f"POLLER_FAILPOINTS: unknown point {name!r}; known: {', '.join(sorted(NAMES))}")
        if not _ACTION.fullmatch(action):
            raise ValueError(f"POLLER_FAILPOINTS: {name}={action!r} is none of kill, raise and stall:SECONDS")
        armed[name] = _Armed(action, int(at or 0))
    return armed


_armed = _parse(os.environ.get("POLLER_FAILPOINTS", ""))


def arm(text: str) -> None:
    """Replace what is armed (in-process tests); the empty text disarms everything."""
    armed = _parse(text)
    _armed.clear()
    _armed.update(armed)


def hit(name: str) -> None:
    """Pass the point `name`; strikes if it is armed and its turn has come."""
    point = _armed.get(name)
    if point is None:
        return
    point.visits += 1
    if point.at and point.visits != point.at:
        return
    if point.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif point.action.startswith("stall:"):
        time.sleep(float(point.action[6:]))
    else:
        raise OSError(f"failpoint {name}")
