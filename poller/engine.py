"""The main path: fetch → diff → tell → commit → confirm what is missing. One poll of one target.

The engine decides nothing about time (the scheduler does) and nothing about delivery (the dispatcher does). It runs at
most one poll of a target, and compares at most one walk of a scope at a time, so what it compares with cannot change
under it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b

from poller import admission, window
from poller.admission import Judged, Start
from poller.doubts import Doubts
from poller.enriching import Enricher
from poller.errors import Malformed, PollerError, Reauthorize, Wait
from poller.inquiry import CONFIRMATIONS, Inquiry
from poller.poll import Item, Link, Poll, Polled, why_incomplete
from poller.ports import Clock, Walk
from poller.rates import NO_HISTORY, Experience, History
from poller.roster import WEBINARS, Roster, hold_of
from poller.routing import Routing
from poller.telling import Teller
from state.diff import Diff, diff
from state.errors import StateUnavailable
from state.events import Draft
from state.failpoints import hit
from state.records import ConnectionState, Known, Presence, Record, Scope, Target
from state.store import PollCommit, Select, Store, walk_events

# Records that one transaction takes at most. A larger poll commits several times; each commit is whole in itself.
BATCH = 1000


class Engine:
    """Runs polls. `wake` is called with the sinks that a commit gave something to do."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        routing: Routing,
        clock: Clock,
        experience: Experience | None = None,
        *,
        wake: Callable[[Collection[str]], None] = lambda _: None,
        forgotten: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.links: dict[str, Link] = {}
        self._store = store
        self._roster = roster
        self._routing = routing
        self._clock = clock
        self._experience = experience or Experience()
        self._wake = wake
        self._teller = Teller(roster, forgotten)
        self._doubts = Doubts(clock)
        self._inquiry = Inquiry(roster, self._teller, self._doubts)
        self._enricher = Enricher(self._inquiry, roster, routing)
        self._polling: dict[tuple[str, Scope], asyncio.Lock] = {}
        self._comparing: dict[Scope, asyncio.Lock] = {}

    async def poll(self, target: Target, *, backfill: Start | None = None, since: datetime | None = None) -> Polled:
        """Poll `target` once. `backfill`: tell history that was not told before, from the window's `since` on.

        Raises what the source raises when nothing could be read, and StateUnavailable when it could not be written;
        in both cases nothing is forgotten and the next poll does the same work again.
        """
        async with self.turn(target.connection, target.scope):
            poll = self._begin(self._roster.target(target.connection, target.scope) or target, backfill, since)
            try:
                return await self._run(poll)
            except (PollerError, StateUnavailable) as error:
                self._store.note_poll(poll.row("failed", self._seconds(poll), str(error)))
                current = self.links.get(target.connection, poll.link)
                if isinstance(error, Reauthorize) and current.login is not poll.link.login:
                    # Somebody has logged in meanwhile: what was refused is not what is used from now on.
                    raise Wait(f"{target.connection}: its login was replaced during the poll") from error
                raise

    def turn(self, connection: str, scope: Scope) -> asyncio.Lock:
        """Whoever holds it keeps this target from being polled."""
        return self._polling.setdefault((connection, scope), asyncio.Lock())

    def _begin(self, target: Target, backfill: Start | None, since: datetime | None) -> Poll:
        link = self.links[target.connection]
        now = self._clock.now()
        source = link.sources[target.scope.kind]
        is_baseline = target.scope.is_root and self._roster.baseline_at(link.name, target.scope) is None
        if backfill is not None:
            target = replace(target, digest=b"")
        return Poll(
            link=link,
            target=target,
            source=source,
            started=now,
            began=self._clock.monotonic(),
            since=since or window.start(link, source, target, now, is_baseline),
            until=now + link.future,
            is_baseline=is_baseline,
            backfill=backfill,
        )

    async def _run(self, poll: Poll) -> Polled:
        walk = await self._walk(poll)
        hit("poll.fetched")
        if walk.unchanged:
            return self._unchanged(poll, walk)
        outcome = "changed" if walk.complete else "incomplete"
        async with self._compares(poll.target.scope):
            found = await self._learn(poll, walk, outcome)
        if found is None:
            self._store.note_poll(poll.row(outcome, self._seconds(poll), why_incomplete(walk)))
            return poll.report(outcome, poll.target, walk.problem)
        await self._confirm(poll, found)
        target = self._roster.target(poll.link.name, poll.target.scope) or poll.target
        return poll.report(outcome, target, walk.problem)

    def _compares(self, scope: Scope) -> asyncio.Lock:
        """Records belong to all who see them: nobody else compares and commits meanwhile. Reading waits for nobody.

        Lists that bring the same along, as meetings ahead and meetings held do, count as one.
        """
        return self._comparing.setdefault(hold_of(scope, "") if scope.is_root else scope, asyncio.Lock())

    async def _learn(self, poll: Poll, walk: Walk, outcome: str) -> Diff | None:
        """What the walk says beside what was known, committed; None: it cannot be said yet."""
        current = self._roster.target(poll.link.name, poll.target.scope) or poll.target
        poll.target = replace(poll.target, phase=current.phase)
        known, expected = await self._known(poll, walk)
        found = diff(known, walk.records, complete=walk.complete, expected=expected)
        if not await self._tell(poll, found, known, walk):
            return None
        await self._enricher.enrich(poll)
        await self._inquiry.detail(poll)
        await self._commit(poll, walk, found, known, outcome)
        return found

    # ── fetching ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _walk(self, poll: Poll) -> Walk:
        walk = await poll.source.walk(poll.target, since=poll.since, until=poll.until)
        poll.calls += walk.calls
        if window.is_doubtful(poll, walk):
            walk = await poll.source.walk(poll.target, since=poll.since, until=poll.until)
            poll.calls += walk.calls
        poll.set_aside, poll.seen = walk.set_aside, len(walk.records)
        return walk

    def _unchanged(self, poll: Poll, walk: Walk) -> Polled:
        polled = self._polled(poll, walk, poll.target.size)
        poll.seen = polled.size
        self._note_polled(polled)
        self._store.note_poll(poll.row("unchanged", self._seconds(poll)), polled)
        return poll.report("unchanged", polled)

    async def _known(self, poll: Poll, walk: Walk) -> tuple[Known, Collection[str] | None]:
        """What to compare with, and which keys should have been in the list."""
        scope = poll.target.scope
        if not poll.of_root:
            return await self._store.known(scope), None if poll.source.removed else ()
        held = self._roster.of(poll.link.name) if poll.source.removed else ()
        kind = hold_of(scope, "").kind
        expected = [one.scope.parent for one in held if one.scope.kind == kind and window.is_expected(poll, one)]
        return await self._store.known(scope, {record.key for record in walk.records}.union(expected)), expected

    # ── telling ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _tell(self, poll: Poll, found: Diff, known: Known, walk: Walk) -> bool:
        """Fill poll.items. False: what this walk means cannot be known yet."""
        if not self._teller.admit(poll, found.added, walk):
            return False
        if poll.backfill is not None:
            self._teller.history(poll, await self._store.unannounced(poll.target.scope))
        touched = [record.key for record in found.touched]
        rows = await self._store.rows(poll.target.scope, touched) if touched else {}
        told = {item.row.key for item in poll.items}
        for record in found.touched:
            row = rows[record.key]
            if record.key in told:
                continue
            change = self._teller.difference(poll, row.body, record.body)
            if change is not None and await self._inquiry.is_stale(poll, record, row, change):
                poll.unsettled = True
            else:
                poll.items.append(self._teller.compared(poll, record, row, change))
        for record in found.reappeared:
            await self._welcome_back(poll, record, known.gone[record.key] + 1)
        return True

    async def _welcome_back(self, poll: Poll, record: Record, life: int) -> None:
        """Something whose removal was confirmed is listed again: news only if its own GET agrees."""
        try:
            shown = await self._inquiry.ask(poll, record.key, listed=record)
        except PollerError:
            shown = None
        item = None if shown is None else self._teller.returned(poll, record, shown, life)
        if item is None:
            poll.unsettled = True
        else:
            poll.items.append(item)

    # ── committing ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _commit(self, poll: Poll, walk: Walk, found: Diff, known: Known, outcome: str) -> None:
        """Usually one transaction; a very large poll takes several, of which the last one closes the walk."""
        poll.unsettled = poll.unsettled or bool(found.missing) or not walk.complete
        batches = [poll.items[start : start + BATCH] for start in range(0, len(poll.items), BATCH)] or [[]]
        for batch in batches[:-1]:
            await self._write(poll, self._batch(poll, batch))
        second = self._second_finds(poll, walk, known)
        adopted = [target for target in second if target.scope == hold_of(target.scope)]
        for target in adopted:  # before it is known that they are: whatever ends the process here, it comes again
            await self._adopt(poll, target)
        last = self._batch(poll, batches[-1])
        commit = replace(
            last,
            missing=found.missing,
            returned=found.returned,
            targets=[*last.targets, *second],
            journal=poll.row(outcome, self._seconds(poll), why_incomplete(walk)),
        )
        if walk.read_through:
            commit = self._closing(poll, walk, commit)
        await self._write(poll, commit)
        for target in adopted:  # and what another finder told between the two
            await self._adopt(poll, target)

    def _closing(self, poll: Poll, walk: Walk, commit: PollCommit) -> PollCommit:
        """What a walk of all pages settles beside its records. One that stays unreadable must not hold up the rest."""
        phase = None
        targets = commit.targets
        if poll.source.judged is Judged.PHASE:
            phase = admission.next_phase(poll.target.phase, empty=not walk.records)
        if poll.of_root and poll.target.polled_at is None:
            targets = [*targets, poll.target]  # nothing brings a connection's own list along
        return replace(
            commit,
            targets=targets,
            polled=self._polled(poll, walk, len(walk.records)),
            phase=phase,
            connection=self._walked(poll) if poll.target.scope == WEBINARS and poll.backfill is None else None,
        )

    def _walked(self, poll: Poll) -> ConnectionState:
        state = self._roster.connection(poll.link.name)
        return replace(
            state,
            baseline_at=state.baseline_at or poll.started.timestamp(),
            walked_from=poll.since.timestamp(),
            walked_at=poll.started.timestamp(),
        )

    def _batch(self, poll: Poll, items: Sequence[Item]) -> PollCommit:
        drafts = [
            (item.draft, self._routing.routes(item.draft, self._finders(poll, item.draft), item.title, poll.news))
            for item in items
            if item.draft is not None
        ]
        targets = [target for item in items for target in item.targets]
        return PollCommit(
            poll.target.scope,
            records=[item.row for item in items],
            drafts=drafts,
            targets=[*targets, *self._held_by_others(poll, targets)],
            pauses=self._routing.floods(drafts, poll.started.timestamp()),
        )

    def _finders(self, poll: Poll, draft: Draft) -> Collection[str]:
        """Every connection that sees the webinar or meeting counts as a finder of what happens in it."""
        return {poll.link.name, *self._roster.holders(hold_of(poll.target.scope, draft.partition))}

    def _held_by_others(self, poll: Poll, targets: Sequence[Target]) -> list[Target]:
        """Who else sees a webinar learns its new title and ends, too, and the lists that its sessions bring along."""
        return [
            replace(target, connection=name, organizer_key=held.organizer_key)
            for target in targets
            for name in self._roster.holders(target.scope if poll.of_root else poll.target.scope)
            if name != poll.link.name
            and (held := self._roster.target(name, target.scope) or self._roster.target(name, poll.target.scope))
        ]

    async def _write(self, poll: Poll, commit: PollCommit) -> None:
        """Commit and what follows from it. Who is cancelled meanwhile leaves with both done: a process that does not
        know what its state knows would take news for old."""
        writing = asyncio.create_task(self._commit_and_follow(poll, commit))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.gather(writing, return_exceptions=True)
            raise

    async def _commit_and_follow(self, poll: Poll, commit: PollCommit) -> None:
        """Commit, then let the roster follow and the dispatcher know."""
        committed = await self._store.commit_poll(commit)
        poll.events += committed.events
        for target in commit.targets:
            self._roster.learn(target)
            poll.found.append(target)
        for connection, scope in commit.dropped:
            self._roster.drop(connection, scope)
            poll.dropped.append((connection, scope))
        if commit.polled is not None:
            self._note_polled(commit.polled)
        if commit.phase is not None:
            self._roster.set_phase(commit.scope, commit.phase)
        if commit.connection is not None:
            self._roster.put_connection(commit.connection)
        poll.held += [pause.name for pause in commit.pauses]
        self._routing.paused.update(poll.held)
        self._wake(committed.sinks)

    def _note_polled(self, polled: Target) -> None:
        """A webinar that was cancelled while its registrants were read stays dropped."""
        if polled.scope.is_root or self._roster.target(polled.connection, polled.scope) is not None:
            self._roster.put(polled)

    def _polled(self, poll: Poll, walk: Walk, size: int) -> Target:
        digest = b"" if poll.unsettled or poll.backfill is not None else walk.digest
        at = poll.started.timestamp()
        watched = poll.target
        if poll.backfill is None:
            is_first = poll.target.polled_at is None
            history = History.of(poll.source.moment, walk.records) if is_first else NO_HISTORY
            watched = self._experience.watched(poll.target, at, poll.news, history)
        began_at = at if watched.began_at is None else watched.began_at
        return replace(watched, polled_at=at, digest=digest, size=size, began_at=began_at)

    # ── a second finder of the same webinar ──────────────────────────────────────────────────────────────────────────

    def _second_finds(self, poll: Poll, walk: Walk, known: Known) -> list[Target]:
        """What records that the state knows bring along and this connection does not have yet: they are known from
        another connection, or from before there was anything to bring."""
        if not poll.of_root:
            return []
        return [
            target
            for record in walk.records
            if record.key in known.fingerprints and self._lacks(poll, record.key)
            for target in self._teller.targets_of(poll, record.key, poll.source.facts(poll.target, record.body))
            if self._roster.target(poll.link.name, target.scope) is None
        ]

    def _lacks(self, poll: Poll, key: str) -> bool:
        """Whether this connection has not all that the record brings along."""
        name, scopes = poll.link.name, poll.source.brings(poll.target, key)
        return any(scope.kind in poll.link.sources and self._roster.target(name, scope) is None for scope in scopes)

    async def _adopt(self, poll: Poll, target: Target) -> None:
        """Owe this connection's sinks what another finder told about it; a baseline owes nothing."""
        if poll.is_baseline and not poll.link.start.history:
            return
        owed = [
            (event.sequence, routes)
            async for event in walk_events(self._store, Select(partition=target.scope.parent))
            if (routes := self._routing.routes_of(event, target.title, poll.link.name))
        ]
        committed = await self._store.adopt(target.scope.parent, owed)
        self._wake(committed.sinks)

    # ── confirming ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _confirm(self, poll: Poll, found: Diff) -> None:
        """Nothing is told to be gone before its own GET says 404. What cannot be asked now waits for a later walk."""
        scope = poll.target.scope
        self._doubts.settle(scope, found.returned)
        gone: list[str] = []
        missing = await self._to_ask(poll, self._doubts.due(scope, found.missing))
        for key in missing[:CONFIRMATIONS]:
            try:
                body = await self._inquiry.ask(poll, key)
            except Wait:
                break
            except PollerError:
                self._doubts.put_off(scope, key)
                continue
            if body is None:
                gone.append(key)
            else:
                self._doubts.put_off(scope, key)
                await self._still_there(poll, key, body)
        await self._remove(poll, gone)

    async def _to_ask(self, poll: Poll, missing: Sequence[str]) -> list[str]:
        """Those whose absence can mean a removal."""
        rows = await self._store.rows(poll.target.scope, missing) if missing else {}
        known = [(key, rows[key].body) for key in missing if key in rows]
        return [key for key, body in known if body is None or poll.source.may_be_gone(body, poll.started)]

    async def _still_there(self, poll: Poll, key: str, body: bytes) -> None:
        """Not in the list, but there: moved out of the window, or the list lied. What its own GET shows counts."""
        async with self._compares(poll.target.scope):
            row = (await self._store.rows(poll.target.scope, [key])).get(key)
            if row is None or row.body is None:
                return
            try:
                merged = poll.source.merge(row.body, body, poll.started)
            except Malformed:
                return
            change = self._teller.difference(poll, row.body, merged)
            # Bytes that no list has shown: a list that goes back to what it showed last is then a change, too.
            seen_as = row.fingerprint if change is None else blake2b(merged, digest_size=16).digest()
            item = self._teller.compared(poll, Record(key, seen_as, merged), row, change)
            await self._write(poll, self._batch(poll, [item]))

    async def _remove(self, poll: Poll, keys: Sequence[str]) -> None:
        if not keys:
            return
        async with self._compares(poll.target.scope):
            rows = await self._store.rows(poll.target.scope, keys)
            at = self._clock.now()
            items = [
                self._teller.removed(poll, rows[key], at)
                for key in keys
                if key in rows and rows[key].presence == Presence.MISSING and not self._seen_elsewhere(poll, key)
            ]
            dropped = self._brought_by(poll, keys) if poll.of_root else []
            await self._write(poll, replace(self._batch(poll, items), dropped=dropped))
        self._doubts.settle(poll.target.scope, keys)

    def _brought_by(self, poll: Poll, keys: Sequence[str]) -> list[tuple[str, Scope]]:
        """All that this connection has because of these records."""
        holds = {hold_of(poll.target.scope, key) for key in keys}
        held = (target.scope for target in self._roster.of(poll.link.name))
        return [(poll.link.name, scope) for scope in held if not scope.is_root and hold_of(scope) in holds]

    def _seen_elsewhere(self, poll: Poll, key: str) -> bool:
        """Another connection still sees it; whoever sees it last tells that it is gone."""
        if not poll.of_root:
            return False
        others = set(self._roster.holders(hold_of(poll.target.scope, key))) - {poll.link.name}
        return bool(others & self.links.keys())

    def _seconds(self, poll: Poll) -> float:
        return self._clock.monotonic() - poll.began
