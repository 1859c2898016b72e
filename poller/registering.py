"""Many registrations, one after another, by the connection's limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from poller.app import App
from poller.calling import call_operation
from poller.errors import Refused
from poller.goto.operations.calling import ALREADY_THERE


async def register_people(
    app: App, webinar: str, people: Sequence[Mapping[str, Any]], connection: str | None = None
) -> AsyncIterator[dict[str, Any]]:
    """What became of each, in their order: what GoTo answered and whether they `existed`, or the `problem`.

    A problem is one of this person alone; whatever would meet the next one, too, is raised.
    """
    for person in people:
        try:
            done = await call_operation(app, "createRegistrant", connection, {"webinarKey": webinar}, dict(person))
        except Refused as err:
            yield {"problem": str(err)}
        else:
            yield {"answer": done.value, "existed": ALREADY_THERE in done.notes}
