"""Contract of a store, part three: what we owe, to whom, and what became of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from state.delivery import DeliveryState, SinkState
from state.errors import NothingThere
from state.events import event_id
from state.store import Backlog, PollCommit, Route, Select, Store, Subscription
from tests.contracts.store_samples import ADDED, DAY, PEOPLE, T0, Now, draft, keys_leased, leased, owing, settled

DELIVERED, DEAD, PENDING = DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.PENDING
EVERY_STATE = ("pending", "delivered", "dead", "held")


class Deliveries:
    # ── lease ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_lease_gives_the_event_and_its_history(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1")))
        (item,) = await leased(store)
        (event,) = await store.events(Select())
        assert (item.sink, item.sequence, item.id, item.body) == ("crm", 1, event.id, event.body)
        assert (item.type, item.subject, item.partition) == (event.type, event.subject, "100")
        assert (item.attempts, item.created_at) == (0, T0)

    async def test_a_lease_writes_nothing_so_what_was_in_flight_is_there_again(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1")))
        assert await leased(store) == await leased(store)

    async def test_a_sink_nobody_registered_is_owed_nothing(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1")))
        assert await leased(store, "unknown") == []
        assert await store.waiting("unknown", T0) == {}
        assert await store.next_due("unknown") is None

    @pytest.mark.parametrize("ordered", [True, False])
    async def test_due_deliveries_come_lowest_sequence_first_up_to_the_limit(self, store: Store, ordered: bool) -> None:
        await store.commit_poll(owing(*(draft(str(n)) for n in range(5))))
        assert await keys_leased(store, limit=3, ordered=ordered) == ["0", "1", "2"]

    @pytest.mark.parametrize("ordered", [True, False])
    async def test_what_is_in_flight_is_not_given_again(self, store: Store, ordered: bool) -> None:
        await store.commit_poll(owing(draft("1"), draft("2")))
        assert await keys_leased(store, busy=[1], ordered=ordered) == ["2"]

    async def test_a_skipped_partition_gives_nothing_and_the_others_go_on(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), draft("2", webinar="200"), draft("3")))
        assert await keys_leased(store, skip=["100"]) == ["2"]

    async def test_a_waiting_head_holds_back_its_own_partition_only(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), draft("2"), draft("3", webinar="200")))
        head, *_ = await leased(store)
        await store.settle_deliveries([settled(head, PENDING, due_at=T0 + 60, error="503")])
        assert await keys_leased(store) == ["3"]
        assert await store.waiting("crm", T0) == {"100": T0 + 60}
        assert await keys_leased(store, at=T0 + 60) == ["1", "2", "3"]
        assert await store.waiting("crm", T0 + 60) == {}

    async def test_without_order_only_the_waiting_delivery_itself_waits(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), draft("2")))
        head, _ = await leased(store)
        await store.settle_deliveries([settled(head, PENDING, due_at=T0 + 60, error="503")])
        assert await keys_leased(store, ordered=False) == ["2"]

    @pytest.mark.parametrize("end", [DEAD, DELIVERED])
    async def test_a_decided_head_does_not_hold_back_what_follows(self, store: Store, end: DeliveryState) -> None:
        await store.commit_poll(owing(draft("1"), draft("2")))
        head, _ = await leased(store)
        await store.settle_deliveries([settled(head, end)])
        assert await keys_leased(store) == ["2"]

    async def test_one_sink_that_waits_does_not_hold_back_another(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), sinks=("crm", "queue")))
        (item,) = await leased(store)
        await store.settle_deliveries([settled(item, PENDING, due_at=T0 + 60, error="503")])
        assert await keys_leased(store, "queue") == ["1"]

    async def test_a_released_sink_tries_again_at_once(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), draft("2", webinar="200"), sinks=("crm", "queue")))
        for sink in ("crm", "queue"):
            await store.settle_deliveries(
                [settled(item, PENDING, due_at=T0 + 60, error="503") for item in await leased(store, sink)]
            )
        await store.release_waiting("crm", T0 + 1)
        assert await keys_leased(store, at=T0 + 1) == ["1", "2"]
        assert await keys_leased(store, "queue", at=T0 + 1) == []

    async def test_next_due_is_zero_at_once_else_the_earliest_wait_else_nothing(self, store: Store) -> None:
        await store.register_sinks(["crm"])
        assert await store.next_due("crm") is None
        await store.commit_poll(owing(draft("1"), draft("2", webinar="200")))
        assert await store.next_due("crm") == 0.0
        first, second = await leased(store)
        await store.settle_deliveries([settled(first, PENDING, due_at=T0 + 60, error="x")])
        assert await store.next_due("crm") == 0.0
        await store.settle_deliveries([settled(second, PENDING, due_at=T0 + 30, error="x")])
        assert await store.next_due("crm") == T0 + 30
        await store.settle_deliveries([settled(first, DEAD), settled(second, DELIVERED)])
        assert await store.next_due("crm") is None

    # ── what became of it ────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_settlement_is_seen_with_its_attempts_and_reason(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), draft("2"), draft("3")))
        a, b, c = await leased(store)
        await store.settle_deliveries(
            [
                settled(a, DELIVERED),
                settled(b, DEAD, error="422 no such list"),
                settled(c, PENDING, due_at=T0 + 5, error="timeout"),
            ]
        )
        views = await store.deliveries(Select(), EVERY_STATE)
        assert [(item.sequence, item.state, item.attempts, item.error, item.due_at) for item in views] == [
            (1, "delivered", 1, "", 0.0),
            (2, "dead", 1, "422 no such list", 0.0),
            (3, "pending", 1, "timeout", T0 + 5),
        ]
        assert {item.updated_at for item in views} == {T0 + 1}
        (again,) = await leased(store, at=T0 + 5)
        assert again.attempts == 1

    async def test_a_settlement_of_something_dropped_meanwhile_changes_nothing(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1")))
        (item,) = await leased(store)
        await store.drop_sink("crm")
        await store.settle_deliveries([settled(item, PENDING, due_at=T0 + 5, error="too late")])
        assert await store.sink_states() == []
        assert (await store.explain(item.id)).attempts == []

    async def test_deliveries_are_selected_by_sink_state_type_and_id(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), draft("2"), sinks=("crm", "queue")))
        (head, _) = await leased(store)
        await store.settle_deliveries([settled(head, DEAD, error="400")])
        assert [item.sink for item in await store.deliveries(Select(ids=[head.id]), EVERY_STATE)] == ["crm", "queue"]
        assert [item.id for item in await store.deliveries(Select(sink="crm"), ["dead"])] == [head.id]
        assert await store.deliveries(Select(types=["com.goto.other"]), EVERY_STATE) == []
        assert await store.deliveries(Select(), []) == []

    async def test_a_revived_dead_letter_starts_its_life_again(self, store: Store, now: Now) -> None:
        await store.commit_poll(owing(draft("1"), draft("2"), sinks=("crm", "queue")))
        for sink in ("crm", "queue"):
            await store.settle_deliveries(
                [settled(item, DEAD, error="400", attempts=9) for item in await leased(store, sink)]
            )
        now.value = T0 + 4 * DAY
        assert await store.revive(Select(sink="crm", ids=[event_id(ADDED, draft("2").subject, 1)])) == 1
        (item,) = await leased(store, at=now.value)
        assert (item.sequence, item.attempts, item.created_at) == (2, 0, now.value)
        assert await leased(store, "queue", at=now.value) == []
        assert await store.revive(Select()) == 3

    async def test_only_dead_letters_are_revived_or_dropped(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), draft("2")))
        await store.commit_poll(owing(draft("3"), held_by="signups"))
        (head, _) = await leased(store)
        await store.settle_deliveries([settled(head, DELIVERED)])
        assert await store.revive(Select()) == 0
        assert await store.drop_dead(Select()) == 0
        assert len(await store.deliveries(Select(), EVERY_STATE)) == 3

    async def test_a_dropped_dead_letter_is_owed_no_longer(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), draft("2")))
        await store.settle_deliveries([settled(item, DEAD, error="400") for item in await leased(store)])
        assert await store.drop_dead(Select(ids=[event_id(ADDED, draft("1").subject, 1)])) == 1
        assert [item.sequence for item in await store.deliveries(Select(), ["dead"])] == [2]

    async def test_replay_owes_stored_events_again_with_their_ids(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), draft("2"), draft("3")))
        before = await leased(store)
        await store.settle_deliveries([settled(item, DELIVERED, attempts=4) for item in before])
        assert await store.owe("crm", [1, 3, 99], T0 + 5) == 2
        again = await leased(store, at=T0 + 5)
        assert [(item.id, item.body, item.attempts) for item in again] == [
            (before[0].id, before[0].body, 0),
            (before[2].id, before[2].body, 0),
        ]
        assert again[0].created_at == T0 + 5

    async def test_replay_reaches_a_sink_that_never_had_the_event(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), sinks=()))
        assert await store.owe("new", [1], T0) == 1
        assert await keys_leased(store, "new") == ["1"]

    # ── held ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_held_deliveries_wait_for_the_trigger_that_holds_them(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), held_by="signups"))
        await store.commit_poll(owing(draft("2"), held_by="other"))
        assert await leased(store) == []
        (view, _) = await store.deliveries(Select(), ["held"])
        assert (view.state, view.held_by) == ("held", "signups")
        assert await store.release("signups") == 1
        assert await keys_leased(store) == ["1"]
        assert await store.release("signups") == 0

    # ── sinks ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_the_health_of_a_sink_is_remembered(self, store: Store) -> None:
        await store.register_sinks(["queue", "crm"])
        await store.register_sinks(["crm"])
        assert await store.sink_states() == [SinkState("crm"), SinkState("queue")]
        ill = SinkState("crm", 3, T0 + 60, "503", T0, T0 - 60, "410 Gone")
        await store.save_sink(ill)
        assert await store.sink_states() == [ill, SinkState("queue")]

    async def test_the_backlog_counts_by_state_since_the_oldest_pending(self, store: Store, now: Now) -> None:
        await store.register_sinks(["idle"])
        await store.commit_poll(owing(draft("1"), draft("2")))
        now.value = T0 + 5
        await store.commit_poll(owing(draft("3"), draft("4")))
        await store.commit_poll(owing(draft("5"), held_by="signups"))
        a, b, *_ = await leased(store)
        await store.settle_deliveries([settled(a, DELIVERED), settled(b, DEAD)])
        assert await store.backlog() == {
            "crm": Backlog(pending=2, held=1, dead=1, delivered=1, oldest=T0 + 5),
            "idle": Backlog(),
        }
        assert await store.backlog(delivered=False) == {
            "crm": Backlog(pending=2, held=1, dead=1, oldest=T0 + 5),
            "idle": Backlog(),
        }

    async def test_what_a_sink_still_owes_can_be_moved_to_another(self, store: Store, now: Now) -> None:
        await store.commit_poll(owing(draft("1"), draft("2"), draft("3")))
        await store.commit_poll(owing(draft("4"), held_by="signups"))
        a, b, _ = await leased(store)
        await store.settle_deliveries([settled(a, DELIVERED), settled(b, DEAD, error="400")])
        now.value = T0 + 60

        assert await store.move_sink("crm", "next") == 3

        moved = {item.sequence: item.state for item in await store.deliveries(Select(sink="next"), EVERY_STATE)}
        left = {item.sequence: item.state for item in await store.deliveries(Select(sink="crm"), EVERY_STATE)}
        assert moved == {2: "dead", 3: "pending", 4: "held"}
        assert left == {1: "delivered"}
        assert [item.created_at for item in await leased(store, "next", at=now.value)] == [T0 + 60]

    async def test_moving_to_a_sink_that_has_the_event_already_sends_nothing_twice(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), sinks=("crm", "next")))
        await store.settle_deliveries([settled(item, DELIVERED) for item in await leased(store, "next")])
        await store.move_sink("crm", "next")
        assert await leased(store, "crm") == await leased(store, "next") == []

    async def test_moving_a_sink_onto_itself_loses_nothing(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1")))
        assert await store.move_sink("crm", "crm") == 0
        assert await keys_leased(store) == ["1"]

    async def test_dropping_a_sink_forgets_what_it_was_owed_and_nothing_else(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), draft("2"), sinks=("crm", "queue")))
        (head, _) = await leased(store)
        await store.settle_deliveries([settled(head, DELIVERED)])
        assert await store.drop_sink("crm") == 1
        assert [state.name for state in await store.sink_states()] == ["queue"]
        assert await keys_leased(store, "queue") == ["1", "2"]
        assert len(await store.events(Select())) == 2

    async def test_a_sink_that_does_not_exist_can_be_neither_moved_nor_dropped(self, store: Store) -> None:
        await store.register_sinks(["crm"])
        for verb in (store.move_sink("nobody", "crm"), store.drop_sink("nobody")):
            with pytest.raises(NothingThere, match="nobody"):
                await verb
        assert [state.name for state in await store.sink_states()] == ["crm"]

    async def test_a_failed_move_does_not_make_the_new_sink(self, store: Store) -> None:
        with pytest.raises(NothingThere):
            await store.move_sink("nobody", "next")
        assert await store.sink_states() == []

    async def test_events_of_one_partition_may_come_from_different_commits(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1")))
        await store.commit_poll(PollCommit(PEOPLE, drafts=[(replace(draft("2"), connection="beta"), [Route("crm")])]))
        assert await keys_leased(store) == ["1", "2"]

    # ── subscriptions ────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_subscriptions_are_kept_in_their_order_as_they_were_given(self, store: Store) -> None:
        made = [Subscription(f"id {n}", f"hook {n % 2}", b"\x00sealed %d" % n, T0) for n in range(3)]
        for one in made:
            await store.save_subscription(one)
        assert await store.subscriptions() == made
        assert {state.name for state in await store.sink_states()} == {"hook 0", "hook 1"}

    async def test_the_last_subscription_takes_its_sink_and_what_it_was_owed_along(self, store: Store) -> None:
        for id_ in ("one", "two"):
            await store.save_subscription(Subscription(id_, "hook", b"", T0))
        await store.commit_poll(owing(draft("1"), sinks=("hook", "crm")))
        assert await store.drop_subscription("one") is True
        assert (await store.backlog())["hook"].pending == 1
        assert await store.drop_subscription("two") is True
        assert await store.drop_subscription("two") is False
        assert set(await store.backlog()) == {"crm"}
        assert await store.subscriptions() == []
