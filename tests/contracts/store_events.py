"""Contract of a store, part two: events, their ids and their places in the sequence."""

from __future__ import annotations

import json
from dataclasses import replace

from state.delivery import DeliveryState
from state.events import event_id
from state.records import Presence
from state.store import Committed, Extent, PollCommit, Route, Select, Store, walk_events
from tests.contracts.store_samples import (
    ADDED,
    DAY,
    PEOPLE,
    T0,
    Now,
    draft,
    keys_leased,
    leased,
    owing,
    row,
    settled,
    target,
)

CHANGED = "com.goto.registrant.changed"


class Events:
    async def test_a_commit_without_news_tells_nothing(self, store: Store) -> None:
        assert await store.commit_poll(PollCommit(PEOPLE, records=[row("1")])) == Committed()
        assert await store.events(Select()) == []

    async def test_events_get_their_places_in_the_order_of_the_commit(self, store: Store) -> None:
        committed = await store.commit_poll(owing(draft("b"), draft("a"), sinks=("crm", "queue")))
        assert committed == Committed(1, 2, frozenset({"crm", "queue"}))
        stored = await store.events(Select())
        assert [event.sequence for event in stored] == [1, 2]
        assert [event.subject.rpartition("/")[2] for event in stored] == ["b", "a"]

    async def test_a_stored_event_is_the_envelope_with_its_id_and_sequence(self, store: Store) -> None:
        told = draft("1", email="a@example.com")
        await store.commit_poll(owing(told))
        (stored,) = await store.events(Select())
        event = json.loads(stored.body)
        assert stored.id == event["id"] == event_id(told.type, told.subject, 1)
        assert event["sequence"] == f"{stored.sequence:020d}"
        assert event["data"] == {"registrantKey": "1", "email": "a@example.com"}
        assert (stored.type, stored.subject, stored.connection) == (told.type, told.subject, "acme")

    async def test_an_event_told_before_adds_only_the_deliveries_that_are_missing(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1")))
        (before,) = await store.events(Select())
        (delivery,) = await leased(store)
        await store.settle_deliveries([settled(delivery, DeliveryState.DELIVERED)])

        second_finder = replace(draft("1", seen="by another"), connection="beta")
        committed = await store.commit_poll(owing(second_finder, draft("2"), sinks=("crm", "queue")))

        assert (committed.first_sequence, committed.events) == (2, 1)
        assert await store.events(Select(ids=[before.id])) == [before]
        assert await keys_leased(store, "crm") == ["2"]
        assert await keys_leased(store, "queue") == ["1", "2"]

    async def test_one_fact_twice_in_one_commit_is_one_event(self, store: Store) -> None:
        committed = await store.commit_poll(owing(draft("1"), draft("1")))
        assert committed.events == 1
        assert await keys_leased(store) == ["1"]

    async def test_two_routes_to_one_sink_make_one_delivery(self, store: Store) -> None:
        await store.commit_poll(PollCommit(PEOPLE, drafts=[(draft("1"), [Route("crm"), Route("crm")])]))
        assert await keys_leased(store) == ["1"]

    async def test_an_event_that_no_trigger_wants_is_stored_all_the_same(self, store: Store) -> None:
        committed = await store.commit_poll(owing(draft("1"), sinks=()))
        assert committed == Committed(1, 1, frozenset())
        assert len(await store.events(Select())) == 1

    async def test_another_revision_is_another_event(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), draft("1", revision=3)))
        first, second = await store.events(Select())
        assert first.id != second.id

    async def test_a_sequence_is_never_given_twice_not_even_after_pruning(self, store: Store, now: Now) -> None:
        await store.commit_poll(owing(draft("1"), draft("2"), sinks=()))
        now.value += DAY
        assert (await store.prune(T0 + 1))["events"] == 2
        committed = await store.commit_poll(owing(draft("3")))
        assert committed.first_sequence == 3

    async def test_emit_stores_events_that_no_poll_implies(self, store: Store) -> None:
        told = replace(draft("-", type_="poller.sink.disabled"), subject="sinks/crm", partition="sinks/crm")
        committed = await store.emit([(told, [Route("ops")])])
        assert (committed.events, committed.sinks) == (1, frozenset({"ops"}))
        assert [item.type for item in await leased(store, "ops")] == ["poller.sink.disabled"]

    async def test_adopt_adds_the_missing_deliveries_and_leaves_the_others(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), draft("2")))
        (first, _) = await leased(store)
        await store.settle_deliveries([settled(first, DeliveryState.DELIVERED)])
        both = [Route("crm"), Route("queue")]
        committed = await store.adopt("100", [(1, both), (2, [Route("queue", "signups")])])
        assert "queue" in committed.sinks
        assert await keys_leased(store, "crm") == ["2"]
        assert await keys_leased(store, "queue") == ["1"]
        assert await store.release("signups") == 1
        assert await keys_leased(store, "queue") == ["1", "2"]

    # ── reading back ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_events_are_selected_by_type_time_id_sink_and_place(self, store: Store) -> None:
        late = replace(draft("3"), observed="2027-01-15T08:01:00.000Z")
        await store.commit_poll(owing(draft("1"), sinks=("crm",)))
        await store.commit_poll(owing(draft("2", type_=CHANGED), late, sinks=("queue",)))
        chosen = {
            "types": Select(types=[CHANGED]),
            "since": Select(since=T0 + 60),
            "until": Select(until=T0 + 60),
            "ids": Select(ids=[event_id(ADDED, late.subject, 1)]),
            "sink": Select(sink="crm"),
            "after": Select(after=2),
            "limit": Select(limit=1),
        }
        found = {name: [event.sequence for event in await store.events(select)] for name, select in chosen.items()}
        assert found == {
            "types": [2],
            "since": [3],
            "until": [1, 2],
            "ids": [3],
            "sink": [1],
            "after": [3],
            "limit": [1],
        }

    async def test_a_selection_larger_than_a_page_is_walked_to_its_end(self, store: Store) -> None:
        await store.commit_poll(owing(*(draft(str(n)) for n in range(7))))
        for size in (1, 3, 7, 100):
            walked = [event.sequence async for event in walk_events(store, Select(limit=size))]
            assert walked == [1, 2, 3, 4, 5, 6, 7]

    async def test_an_event_is_found_by_its_id(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), draft("2")))
        second = (await store.events(Select()))[1]
        assert await store.event(second.id) == second
        assert await store.event("nobody") is None

    async def test_the_latest_events_come_newest_first_and_before_a_sequence(self, store: Store) -> None:
        assert await store.latest(None, 10) == []
        await store.commit_poll(owing(*(draft(str(n)) for n in range(1, 6))))
        assert [event.sequence for event in await store.latest(None, 2)] == [5, 4]
        assert [event.sequence for event in await store.latest(4, 10)] == [3, 2, 1]
        assert await store.latest(1, 10) == []

    async def test_the_latest_events_of_one_type_leave_out_the_others(self, store: Store) -> None:
        types = ("com.goto.registrant.added", "com.goto.webinar.created")
        await store.commit_poll(owing(*(draft(str(n), type_=types[n % 2]) for n in range(1, 6))))
        assert [event.sequence for event in await store.latest(None, 2, types[1])] == [5, 3]
        assert [event.sequence for event in await store.latest(4, 10, types[0])] == [2]
        assert await store.latest(None, 10, "com.goto.meeting.ended") == []

    async def test_the_extent_of_the_log_grows_with_it_and_remembers_what_retention_took(
        self, store: Store, now: Now
    ) -> None:
        epoch = (await store.info()).epoch
        assert await store.extent() == Extent(epoch, last=0)
        await store.commit_poll(owing(draft("1"), draft("2"), sinks=()))
        await store.commit_poll(owing(draft("3")))  # still owed, so retention passes over it
        later = replace(draft("4"), observed="2027-01-16T09:00:00.000Z")
        await store.commit_poll(owing(later, sinks=()))
        assert await store.extent() == Extent(epoch, last=4)

        now.value += 2 * DAY
        assert (await store.prune(T0 + 1))["events"] == 2
        assert await store.extent() == Extent(epoch, last=4, pruned=2)
        assert (await store.prune(T0 + 2 * DAY))["events"] == 1
        assert await store.extent() == Extent(epoch, last=4, pruned=4)
        assert (await store.prune(T0 + 2 * DAY))["events"] == 0
        assert (await store.extent()).pruned == 4

    async def test_explain_tells_everything_about_a_registrant(self, store: Store) -> None:
        await store.commit_poll(PollCommit(PEOPLE, targets=[target()]))
        await store.commit_poll(owing(draft("7"), draft("17"), records=[row("7", revision=2), row("17")]))
        first, _ = await leased(store, ordered=False)
        await store.settle_deliveries([settled(first, DeliveryState.PENDING, due_at=T0 + 9, error="no answer")])

        found = await store.explain("7")

        assert [(scope, record.key) for scope, record in found.records] == [(PEOPLE, "7")]
        assert [item.scope for item in found.targets] == [PEOPLE]
        assert [event.sequence for event in found.events] == [1]
        assert [(item.sink, item.state, item.attempts) for item in found.deliveries] == [("crm", "pending", 1)]
        assert [attempt["error"] for attempt in found.attempts] == ["no answer"]

    async def test_explain_finds_an_event_by_id_subject_and_sequence(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), draft("2")))
        wanted = (await store.events(Select()))[1]
        for key in (wanted.id, wanted.subject, f"{wanted.sequence:020d}"):
            assert (await store.explain(key)).events == [wanted]
        assert (await store.explain("nobody")).events == []

    async def test_explain_shows_a_removed_key_with_its_revision(self, store: Store) -> None:
        await store.commit_poll(PollCommit(PEOPLE, records=[row("1", presence=Presence.GONE, revision=4)]))
        ((_, record),) = (await store.explain("1")).records
        assert (record.presence, record.revision) == (Presence.GONE, 4)
