"""A list read page by page, and the walk that comes of it, whatever its items are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import Raw

from poller import goto
from poller.errors import PollerError
from poller.goto.protocol import PAGE_SIZE
from poller.ports import Walk
from state.records import Record, Target

# By kind of list, the operation that its first page is read by.
OPERATION_OF: Final[Mapping[str, str]] = {
    "webinar": "getWebinars",
    "registrant": "getAllRegistrantsForWebinar",
    "session": "getAllSessions",
    "participant": "getAttendees",
    "meeting": "getUpcomingMeetings",
    "meeting_session": "getHistoricalMeetings",
    "meeting_attendee": "getAttendeesByMeeting",
    "webinar_start": "getInSessionWebinars",
    "meeting_start": "getUpcomingMeetings",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of a list once its pages were read, as far as they came."""

    digests: Sequence[bytes]  # of the pages, in their order; never empty
    complete: bool  # as many different items as the list promised
    problem: PollerError | None  # what ended the reading after its first page

    def repeats(self, digest: bytes, known: bytes) -> bool:
        """Whether all of the list was seen and is what the last complete walk, of digest `known`, has read."""
        return self.complete and digest == known

    def unchanged(self, digest: bytes) -> Walk:
        return Walk(unchanged=True, digest=digest, calls=len(self.digests))

    def walk(self, records: Sequence[Record], *, set_aside: int, digest: bytes) -> Walk:
        read_through = self.complete and self.problem is None
        return walk_of(records, read_through, set_aside, digest, len(self.digests), self.problem)


def walk_of(
    records: Sequence[Record],
    read_through: bool,
    set_aside: int,
    digest: bytes,
    calls: int,
    problem: PollerError | None,
) -> Walk:
    """A walk that brought something: complete only if all was read, and nothing of it was set aside."""
    return Walk(
        records,
        complete=read_through and not set_aside,  # a record that could not be read may be any of the missing ones
        read_through=read_through,
        digest=digest,
        set_aside=set_aside,
        calls=calls,
        problem=problem,
    )


async def read(pages: goto.Walk, take: Callable[[list[Raw]], None], first: goto.Page | None = None) -> Reading:
    """Give the items of each page to `take` as they come; `first` has been taken from `pages` already.

    Raises PollerError if not even the first page could be read; what comes later is the reading's `problem`, because
    what was read before it still counts.
    """
    digests: list[bytes] = []
    problem: PollerError | None = None
    if first is not None:
        digests.append(first.digest)
        take(first.items)
    try:
        async for page in pages:
            digests.append(page.digest)
            take(page.items)
    except PollerError as error:
        if not digests:
            raise
        problem = error
    return Reading(digests, pages.complete, problem)


def calls_of(target: Target, page_above: int) -> int:
    """How many calls one poll of `target` takes, by what was there at the last."""
    if target.scope.parent and target.size <= page_above:
        return 1
    return max(-(-target.size // PAGE_SIZE), 1)
