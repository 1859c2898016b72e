"""From records to rows and events: what is told of an addition, a change, a removal. No I/O, no waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from poller import admission, drafting
from poller.admission import Judged, Telling
from poller.errors import Malformed
from poller.poll import Item, Poll
from poller.ports import Change, Facts, Source, Walk
from poller.roster import Roster, hold_of, root_of
from state.events import Draft
from state.records import Phase, Presence, Record, RecordRow, Scope, Target

Rule = Callable[[Facts], Telling]

# A session may end so much (seconds) later than it was planned to: its list is looked at although the plan was over
# before the baseline.
OVERRUN = 3 * 3600.0

# Ends that one list remembers, of the many sessions of one meeting: older ones have long been looked at.
ENDS = 16

_PHASES = {Telling.SILENT: Phase.BASELINE, Telling.NEWS: Phase.NEW, Telling.HISTORY: Phase.BACKFILL}


class Teller:
    """`forgotten` says whether a person asked to be erased: of such a person only the key is kept, nothing is told.

    It may be false itself, while nobody has asked.
    """

    def __init__(self, roster: Roster, forgotten: Callable[[str], bool]) -> None:
        self._roster = roster
        self._forgotten = forgotten

    def admit(self, poll: Poll, added: Iterable[Record], walk: Walk) -> bool:
        """Decide which of the added records are told, oldest first.

        False: not decidable before a walk of all pages, so nothing of this one may be kept.
        """
        if poll.backfill is None and poll.source.judged is Judged.PHASE and poll.target.phase is Phase.BASELINE:
            # Most of a large first sync: these records need not even be decoded, unless somebody was erased.
            rows = (RecordRow(*record, 1, 1, Presence.PRESENT, False) for record in added)
            anybody = bool(self._forgotten)
            poll.items += [Item(self._erased(poll, row) if anybody else row) for row in rows]
            return True
        described = [(record, facts) for record in added if (facts := self._facts(poll, record.body)) is not None]
        telling = self._telling(poll, walk)
        if telling is None:
            poll.unsettled = True
            return False
        fresh = {record.key for record, _ in described}
        for record, facts in sorted(described, key=lambda pair: pair[1].order):
            told = Telling.NEWS if facts.sequel_of and facts.sequel_of not in fresh else telling(facts)
            told = Telling.SILENT if facts.untold else told
            poll.items.append(self.created(poll, RecordRow(*record, announced=told is not Telling.SILENT), facts, told))
        return True

    def _erased(self, poll: Poll, row: RecordRow) -> RecordRow:
        """The row, without its body if it is about somebody forgotten."""
        person = poll.source.person(row.body or b"")
        return row._replace(body=None) if person and self._forgotten(person) else row

    def _facts(self, poll: Poll, body: bytes) -> Facts | None:
        """None for a record that cannot be read: it is set aside, its siblings are not."""
        try:
            return poll.source.facts(poll.target, body)
        except Malformed:
            poll.set_aside += 1
            poll.unsettled = True
            return None

    def _telling(self, poll: Poll, walk: Walk) -> Rule | None:
        """The rule for the additions of this poll; None while it cannot be known."""
        usual, backfill = self._usual(poll, walk), poll.backfill
        if backfill is None or usual is None:
            return usual
        # What is news stays news; what nobody would be told of is history now.
        return lambda facts: told if (told := usual(facts)) is not Telling.SILENT else backfill.telling(facts.moment)

    def _usual(self, poll: Poll, walk: Walk) -> Rule | None:
        start, connection = poll.link.start, self._roster.connection(poll.link.name)
        baseline_at = self._baseline_at(poll)
        if poll.is_baseline:
            return lambda facts: start.telling(facts.moment)
        if poll.source.judged is Judged.DATE:
            return lambda facts: admission.by_date(facts.moment, baseline_at, start)
        if poll.source.judged is Judged.WINDOW:
            return lambda facts: admission.later_webinar(facts.moment, connection.walked_from)
        match poll.target.phase:
            case Phase.BASELINE:
                return lambda facts: Telling.SILENT
            case Phase.BACKFILL if poll.target.polled_at is None:
                return lambda facts: start.telling(facts.moment)
            case Phase.BACKFILL:
                return lambda facts: admission.by_date(facts.moment, baseline_at, start)
            case Phase.NEW:
                shown = [self._facts(poll, record.body) for record in walk.records]
                moments = [facts.moment for facts in shown if facts is not None]
                told = admission.registrants_of_new_webinar(moments, baseline_at, complete=walk.read_through)
                return None if told is None else lambda _: told
            case Phase.OPEN:
                return lambda _: Telling.NEWS

    def _baseline_at(self, poll: Poll) -> float:
        """When the list from which all this was found was first walked: this very moment, if it was not yet."""
        known = self._roster.baseline_at(poll.link.name, root_of(poll.target.scope))
        return poll.started.timestamp() if known is None else known

    def created(self, poll: Poll, row: RecordRow, facts: Facts, told: Telling) -> Item:
        targets = self.targets_of(poll, row.key, facts, told)
        if facts.person and self._forgotten(facts.person):
            return Item(row._replace(body=None), targets=targets)
        if told is Telling.SILENT:
            return Item(row, targets=targets)
        poll.added += 1
        poll.news += told is Telling.NEWS
        draft = drafting.created(
            facts.type or poll.source.created,
            facts,
            row,
            connection=poll.link.name,
            observed=poll.started,
            backfill=told is Telling.HISTORY,
        )
        return Item(row, draft, targets, facts.title or poll.target.title)

    def returned(self, poll: Poll, record: Record, shown: bytes, life: int) -> Item | None:
        """Back after its removal, as its own GET shows it: the list may be an old copy. None if it cannot be read."""
        try:
            body = poll.source.merge(record.body, shown, poll.started)
        except Malformed:
            return None
        facts = self._facts(poll, body)
        row = RecordRow(record.key, record.fingerprint, body, born=life, revision=life)
        return None if facts is None else self.created(poll, row, facts, Telling.NEWS)

    def targets_of(self, poll: Poll, key: str, facts: Facts, told: Telling = Telling.NEWS) -> list[Target]:
        """What this record brings along: a webinar its registrants and its sessions. What this connection does not
        read is left out."""
        read = poll.link.sources
        scopes = [scope for scope in poll.source.brings(poll.target, key) if scope.kind in read]
        return [self._target(poll, scope, read[scope.kind], facts, told) for scope in scopes]

    def _target(self, poll: Poll, scope: Scope, source: Source, facts: Facts, told: Telling) -> Target:
        made = Target(
            poll.link.name,
            scope,
            organizer_key=facts.organizer_key or poll.target.organizer_key,
            title=facts.title or poll.target.title,
            phase=self._phase(poll, source, told),
            starts_at=facts.starts_at,
            ends_at=facts.ends_at,
            ends=tuple(end for end in facts.ends if self._counts(poll, end)) if source.timed else None,
        )
        known = self._roster.target(poll.link.name, scope)
        return made if known is None or not source.recurs else _joined(known, made)

    def _phase(self, poll: Poll, source: Source, told: Telling) -> Phase:
        if source.judged is not Judged.PHASE:
            return Phase.NEW
        return poll.link.start.phase if poll.is_baseline else _PHASES[told]

    def _counts(self, poll: Poll, end: float) -> bool:
        """Whether what was over by then can be told: there is no need to look at anything else."""
        moment = datetime.fromtimestamp(end + OVERRUN, UTC)
        if poll.backfill is not None and poll.backfill.telling(moment) is Telling.HISTORY:
            return True
        return admission.by_date(moment, self._baseline_at(poll), poll.link.start) is not Telling.SILENT

    def history(self, poll: Poll, rows: Iterable[RecordRow]) -> None:
        """Backfill also tells what is known but was never told, from the wished date on."""
        assert poll.backfill is not None
        for row in rows:
            assert row.body is not None
            facts = self._facts(poll, row.body)
            if facts is None:
                continue
            if self._is_held(poll, facts) and poll.backfill.telling(facts.moment) is Telling.HISTORY:
                poll.items.append(self.created(poll, row._replace(announced=True), facts, Telling.HISTORY))

    def _is_held(self, poll: Poll, facts: Facts) -> bool:
        """The state's webinars and meetings are those of all connections."""
        scope = hold_of(poll.target.scope, facts.partition)
        return not poll.of_root or self._roster.target(poll.link.name, scope) is not None

    def difference(self, poll: Poll, before: bytes | None, after: bytes) -> Change | None:
        """What of it has a meaning. An erased record, or one that cannot be read, has nothing to compare."""
        if before is None:
            return None
        try:
            return poll.source.compare(before, after, poll.started)
        except Malformed:
            return None

    def compared(self, poll: Poll, record: Record, row: RecordRow, change: Change | None) -> Item:
        """Other bytes than last time: a meaningful difference becomes an event, any other is only noted."""
        now = row._replace(fingerprint=record.fingerprint, body=record.body, presence=Presence.PRESENT)
        if row.body is None:  # erased: it stays erased
            return Item(now._replace(body=None))
        body = poll.source.keep(row.body, record.body)
        facts = self._facts(poll, body)
        if facts is None:
            return Item(now._replace(body=row.body))
        if facts.person and self._forgotten(facts.person):
            return Item(now._replace(body=None))
        now = now._replace(body=body)
        targets = self.targets_of(poll, row.key, facts)
        if change is None or (change.anew is not None and not row.announced):
            return Item(now, targets=targets)
        now = now._replace(revision=row.revision + 1, previous=row.fingerprint)
        poll.changed += 1
        poll.news += 1
        return Item(now, self._draft_of(poll, facts, now, change), targets, facts.title or poll.target.title)

    def _draft_of(self, poll: Poll, facts: Facts, row: RecordRow, change: Change) -> Draft:
        name, at = poll.link.name, poll.started
        if change.anew is None:
            return drafting.changed(poll.source.changed, facts, row, change, connection=name, observed=at)
        told = replace(facts, data={**facts.data, **change.anew})
        return drafting.created(facts.type or poll.source.created, told, row, connection=name, observed=at)

    def removed(self, poll: Poll, row: RecordRow, at: datetime) -> Item:
        """Confirmed gone: told with what was last known. The row stays without its body, for its revision's sake."""
        gone = row._replace(revision=row.revision + 1, presence=Presence.GONE, body=None, previous=None)
        facts = None if row.body is None else self._facts(poll, row.body)
        if facts is None:
            return Item(gone)
        poll.removed += 1
        poll.news += 1
        draft = drafting.removed(poll.source.removed, facts, gone, connection=poll.link.name, observed=at)
        return Item(gone, draft, (), facts.title or poll.target.title)


def _joined(known: Target, made: Target) -> Target:
    """A list that several records bring along: each adds its ends."""
    ends_at = max((end for end in (known.ends_at, made.ends_at) if end is not None), default=None)
    ends = sorted({*(known.ends or ()), *(made.ends or ())})[-ENDS:]
    return replace(made, ends_at=ends_at, ends=tuple(ends))
