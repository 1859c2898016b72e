"""Pure: from when on a list is walked, and what a complete walk of it must show."""

from __future__ import annotations

from datetime import datetime

from poller.poll import Link, Poll
from poller.ports import Source, Walk
from state.records import Phase, Target


def start(link: Link, source: Source, target: Target, now: datetime, is_baseline: bool) -> datetime:
    """`past` before now; further back after an outage or a pause (what happened meanwhile is news), and as far as the
    start date for the baseline."""
    past = max(link.past, source.overlap)
    if is_baseline and link.start.since is not None:
        return min(link.start.since, now - past)
    last = now if target.polled_at is None else datetime.fromtimestamp(target.polled_at, tz=now.tzinfo)
    return min(last, now) - past


def is_doubtful(poll: Poll, walk: Walk) -> bool:
    """At the first look an empty list, or records garbled by mistake, would make old things news: ask twice."""
    if poll.is_baseline and walk.complete and not walk.records:
        return True
    first = poll.is_baseline or poll.target.phase is Phase.BASELINE
    return first and walk.read_through and walk.set_aside > 0


def is_expected(poll: Poll, held: Target) -> bool:
    """Whether what is held by this target must be in a complete walk: not skipped, and well inside the window."""
    if poll.link.skips(held.organizer_key) or held.ends_at is None:
        return False
    inside_from = poll.since + (poll.started - poll.since) / 2
    return inside_from.timestamp() <= held.ends_at < poll.until.timestamp()
