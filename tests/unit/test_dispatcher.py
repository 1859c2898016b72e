"""The dispatcher's promises while sinks work, refuse, and fail."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from poller.errors import Gone, Refused, Wait
from state.delivery import RETRY_SCHEDULE, DeliveryState
from state.store import Pause
from tests.unit.dispatching import Desk, failing, poisoned

DOWN = Wait("503")


async def test_everything_owed_is_delivered_once_and_in_order() -> None:
    desk = Desk()
    sink = desk.sink(concurrency=4)
    sequences = desk.owe("w1", "w2", "w3", backlog=20)
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        for webinar in range(3):
            assert [n for n in sink.got if (n - 1) % 3 == webinar] == sequences[webinar::3]
    assert sorted(sink.got) == sequences
    assert desk.store.count(DeliveryState.DELIVERED) == 60
    assert sink.closed


async def test_what_becomes_owed_later_is_sent_when_woken() -> None:
    desk = Desk()
    sink = desk.sink()
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        desk.owe("w1")
        dispatcher.wake(["crm", "unknown"])
        await dispatcher.idle()
        assert sink.got == [1]


async def test_nothing_is_polled_while_nothing_is_due() -> None:
    desk = Desk()
    desk.owe("w1")
    async with desk.running(desk.sink(answer=failing(DOWN))) as dispatcher:
        await dispatcher.idle()
        await desk.clock.advance(4)
        before = desk.store.leases
        await desk.clock.advance(0.5)
        assert desk.store.leases == before


async def test_one_webinar_never_has_two_events_under_way_while_others_go_on() -> None:
    desk = Desk()
    sink = desk.sink(concurrency=8)
    sink.gate = asyncio.Event()
    desk.owe("w1", "w2", backlog=5)
    async with desk.running(sink) as dispatcher:
        await desk.clock.advance(0)
        assert [sequence for _, sequence in sink.attempts] == [1, 2]
        sink.gate.set()
        await dispatcher.idle()
        assert sink.most_at_once == 2


async def test_an_unordered_sink_uses_all_its_concurrency_on_one_webinar() -> None:
    desk = Desk()
    sink = desk.sink(concurrency=3, ordered=False)
    sink.gate = asyncio.Event()
    desk.owe("w1", backlog=9)
    async with desk.running(sink) as dispatcher:
        await desk.clock.advance(0)
        assert sink.most_at_once == 3
        sink.gate.set()
        await dispatcher.idle()
    assert sorted(sink.got) == list(range(1, 10))


async def test_the_next_event_of_a_webinar_waits_until_the_last_one_is_settled_in_the_state() -> None:
    desk = Desk()
    sink = desk.sink()
    desk.owe("w1", "w1")
    desk.store.full = True
    async with desk.running(sink) as dispatcher:
        await desk.clock.advance(100)
        assert sink.got == [1]
        desk.store.full = False
        await desk.clock.advance(60)
        await dispatcher.idle()
        assert sink.got == [1, 2]
    assert desk.store.count(DeliveryState.DELIVERED) == 2
    assert desk.names("store.unavailable")


async def test_a_refused_event_is_dead_at_once_with_its_reason_and_the_next_goes_on() -> None:
    desk = Desk()
    sink = desk.sink(answer=poisoned(Refused("answered 422"), 1))
    desk.owe("w1", "w1")
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
    row = desk.store.rows["crm", 1]
    assert (row.state, row.error, row.delivery.attempts) == (DeliveryState.DEAD, "answered 422", 1)
    assert sink.got == [2]
    assert desk.names("delivery.dead")[0]["error"] == "answered 422"


async def test_a_receiver_that_is_gone_disables_the_sink_and_keeps_what_it_is_owed() -> None:
    desk = Desk()
    sink = desk.sink(answer=failing(Gone("answered 410")))
    desk.owe("w1", "w2")
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        await desk.clock.advance(10 * 86400)
        assert len(sink.attempts) == 1
        assert dispatcher.states()["crm"].disabled == "answered 410"
    assert desk.store.count(DeliveryState.PENDING) == 2
    assert desk.store.sinks["crm"].disabled == "answered 410"
    assert desk.names("sink.disabled") == [{"sink": "crm", "reason": "answered 410"}]

    later = desk.sink()
    async with desk.running(later) as dispatcher:
        await dispatcher.idle()
        assert not later.attempts, "a restart does not forget it"
        dispatcher.resume("crm")
        await dispatcher.idle()
    assert later.got == [1, 2]
    assert desk.store.sinks["crm"].disabled == ""
    assert desk.names("sink.recovered")


async def test_three_days_of_outage_follow_the_schedule_and_drain_afterwards() -> None:
    desk = Desk()
    up = False
    sink = desk.sink(concurrency=4, answer=failing(DOWN, while_=lambda: not up), max_age=timedelta(days=30))
    sequences = desk.owe("w1", backlog=40)
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        await desk.clock.advance(72 * 3600)
        expected = [round(sum(RETRY_SCHEDULE[:n]), 3) for n in range(9)]
        assert sink.times() == [moment for moment in expected if moment <= 72 * 3600]
        up = True
        await desk.clock.advance(86400)
        await dispatcher.idle()
        assert sink.got == sequences
    assert [fields["sink"] for fields in desk.names("sink.down")] == ["crm"]
    assert len(desk.names("sink.recovered")) == 1


async def test_an_outage_met_by_many_webinars_costs_two_attempts_then_one_at_a_time() -> None:
    """The second attempt tells an outage from an event that the receiver chokes on."""
    desk = Desk()
    up = False
    sink = desk.sink(answer=failing(DOWN, while_=lambda: not up))
    desk.owe(*[f"w{n}" for n in range(50)])
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        assert sink.times() == [0, 0]
        await desk.clock.advance(299)
        assert len(sink.attempts) == 2
        await desk.clock.advance(1 + 1800)
        assert sink.times() == [0, 0, 300, 2100]
        up = True
        await desk.clock.advance(7200)
        await dispatcher.idle()
        assert len(sink.got) == 50, "one success ends the outage for everything that waits"


async def test_many_attempts_that_fail_together_are_one_failure() -> None:
    desk = Desk()
    sink = desk.sink(concurrency=8, answer=failing(DOWN))
    warm = desk.sink(concurrency=8)
    desk.owe(*[f"w{n}" for n in range(8)])
    async with desk.running(warm) as dispatcher:
        await dispatcher.idle()
        desk.owe(*[f"w{n}" for n in range(8)])
        warm.gate = asyncio.Event()
        warm.answer = sink.answer
        dispatcher.wake(["crm"])
        await desk.clock.advance(0)
        assert warm.most_at_once == 8
        warm.gate.set()
        await dispatcher.idle()
        assert dispatcher.states()["crm"].failures == 1


async def test_a_poisonous_event_never_holds_up_other_webinars() -> None:
    desk = Desk()
    sink = desk.sink(answer=poisoned(DOWN, 1))
    desk.owe("bad", "bad", *[f"w{n}" for n in range(10)])
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        assert sink.got == list(range(3, 13))
        await desk.clock.advance(10_000)  # nothing but the poison is pending: it fails again and again
        state = dispatcher.states()["crm"]
        assert state.failures > 2
        assert state.retry_at > desk.now, "the sink itself would have to wait for longer"
        desk.owe("fresh")
        dispatcher.wake(["crm"])
        await dispatcher.idle()
        assert sink.got[-1] == 13
        assert 2 not in sink.got, "within its webinar the order holds"


async def test_the_order_within_each_webinar_survives_failures_anywhere() -> None:
    desk = Desk()
    count = 0

    def flaky(outgoing: object) -> Wait | None:
        nonlocal count
        count += 1
        return DOWN if count % 3 == 0 else None

    sink = desk.sink(concurrency=4, answer=flaky)
    sequences = desk.owe("w1", "w2", "w3", backlog=15)
    async with desk.running(sink) as dispatcher:
        for _ in range(200):
            await desk.clock.advance(3600)
        await dispatcher.idle()
    for webinar in range(3):
        assert [n for n in sink.got if (n - 1) % 3 == webinar] == sequences[webinar::3]


async def test_a_delivery_that_fails_when_older_than_max_age_is_dead_and_says_why() -> None:
    desk = Desk()
    sink = desk.sink(answer=failing(DOWN), max_age=timedelta(hours=1))
    desk.owe("w1")
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        await desk.clock.advance(3 * 3600)
    row = desk.store.rows["crm", 1]
    assert row.state is DeliveryState.DEAD
    assert row.error == "older than max_age (1h): 503"
    assert row.delivery.attempts == 5  # at 0 s, 5 s, 305 s, 2105 s and then at 9305 s


async def test_retry_after_is_a_floor_for_the_whole_sink() -> None:
    desk = Desk()
    sink = desk.sink(answer=failing(Wait("429", retry_after=60), while_=lambda: desk.clock.monotonic() < 1))
    desk.owe("w1", "w2")
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        await desk.clock.advance(59)
        assert sink.times() == [0]
        await desk.clock.advance(1)
        await dispatcher.idle()
        assert sink.times() == [0, 60, 60]


async def test_an_absurd_retry_after_is_cut_to_a_day() -> None:
    desk = Desk()
    sink = desk.sink(answer=failing(Wait("429", retry_after=1e12), while_=lambda: desk.clock.monotonic() < 1))
    desk.owe("w1")
    async with desk.running(sink):
        await desk.clock.advance(86400)
        assert sink.got == [1]


async def test_a_restart_during_an_outage_looks_once_and_then_keeps_to_the_schedule() -> None:
    desk = Desk()
    desk.owe(*[f"w{n}" for n in range(9)])
    async with desk.running(desk.sink(answer=failing(DOWN))):
        await desk.clock.advance(2200)
    failures = desk.store.sinks["crm"].failures
    assert failures == 4
    sink = desk.sink(answer=failing(DOWN))
    start = desk.clock.monotonic()
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        await desk.clock.advance(RETRY_SCHEDULE[failures] - 1)
        assert sink.times() == [start]
        await desk.clock.advance(1)
        assert len(sink.attempts) == 2


async def test_a_restart_keeps_to_a_retry_after() -> None:
    desk = Desk()
    desk.owe("w1", "w2")
    async with desk.running(desk.sink(answer=failing(Wait("429", retry_after=7200)))):
        await desk.clock.advance(10)
    sink = desk.sink()
    async with desk.running(sink) as dispatcher:
        await desk.clock.advance(7000)
        assert not sink.attempts
        await desk.clock.advance(200)
        await dispatcher.idle()
        assert sink.got == [2, 1]


async def test_a_sink_that_hangs_is_cut_off_and_others_do_not_notice() -> None:
    desk = Desk()
    hung = desk.sink(name="hung", timeout=timedelta(seconds=-1.95))  # the dispatcher's patience is 2 s more
    hung.gate = asyncio.Event()
    fine = desk.sink(name="fine")
    desk.owe("w1", sink="hung")
    desk.owe("w1", "w1", sink="fine")
    async with desk.running(hung, fine) as dispatcher:
        await dispatcher.idle()
        assert fine.got == [2, 3]
        assert dispatcher.states()["hung"].failures == 1
        assert "no answer" in desk.names("delivery.failed")[0]["error"]


async def test_a_sink_that_cannot_connect_backs_off_alone() -> None:
    desk = Desk()

    def refuse() -> None:
        raise ConnectionRefusedError("nobody listens")

    broken, fine = desk.sink(name="broken", connecting=refuse, concurrency=4, batch=10), desk.sink(name="fine")
    desk.owe("w1", "w2", "w3", sink="broken")
    desk.owe("w1", sink="fine")
    async with desk.running(broken, fine) as dispatcher:
        await dispatcher.idle()
        assert fine.got == [4]
        assert not broken.attempts
        assert [row.delivery.attempts for (name, _), row in desk.store.rows.items() if name == "broken"] == [1, 1, 0]
        broken.connecting = lambda: None
        await desk.clock.advance(300)
        await dispatcher.idle()
        assert sorted(broken.got) == [1, 2, 3]


async def test_whatever_a_sink_raises_is_a_failure_and_never_the_end_of_its_loop() -> None:
    desk = Desk()
    errors: list[BaseException] = [asyncio.CancelledError(), RecursionError(), KeyError("x"), Wait("")]

    def burst(outgoing: object) -> None:
        if errors:
            raise errors.pop()

    sink = desk.sink(answer=burst)
    desk.owe("w1")
    async with desk.running(sink) as dispatcher:
        await desk.clock.advance(86400)
        await dispatcher.idle()
    assert sink.got == [1]
    assert len(desk.names("delivery.failed")) == 4
    assert desk.store.rows["crm", 1].delivery.attempts == 5


async def test_after_a_failure_the_sink_is_connected_anew() -> None:
    desk = Desk()
    good = False

    def connect() -> None:
        nonlocal good
        good = True

    def once_per_connection(outgoing: object) -> Wait | None:
        nonlocal good
        good, was_good = False, good
        return None if was_good else DOWN

    sink = desk.sink(connecting=connect, answer=once_per_connection)
    desk.owe("w1", backlog=4)
    async with desk.running(sink) as dispatcher:
        for _ in range(4):
            await desk.clock.advance(5)
            await dispatcher.idle()
        assert sink.got == [1, 2, 3, 4]


async def test_in_an_outage_there_is_one_attempt_at_a_time_however_long_it_takes() -> None:
    desk = Desk()
    sink = desk.sink(concurrency=8, answer=failing(DOWN))
    desk.owe(*[f"w{n}" for n in range(20)])
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        before = len(sink.attempts)
        sink.gate = asyncio.Event()
        await desk.clock.advance(7200)
        assert len(sink.attempts) == before + 1


async def test_refusals_are_answers_and_do_not_slow_the_sink_down() -> None:
    desk = Desk()
    sink = desk.sink(answer=failing(Refused("answered 400")))
    desk.owe(*[f"w{n}" for n in range(10)])
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        assert desk.store.count(DeliveryState.DEAD) == 10


async def test_a_retry_that_is_due_a_moment_after_other_news_is_on_time() -> None:
    desk = Desk()
    sink = desk.sink(answer=poisoned(DOWN, 1))
    desk.owe("bad", "w2")
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        await desk.clock.advance(4.5)
        desk.owe("w3")
        dispatcher.wake(["crm"])
        await dispatcher.idle()
        before = desk.store.leases
        await desk.clock.advance(0.5)
        await dispatcher.idle()
        assert sink.times(1) == [0, 5]
        assert desk.store.leases - before < 5


async def test_a_pause_that_comes_while_a_probe_is_chosen_holds_it_back() -> None:
    desk = Desk()
    desk.owe("w1", "w2", "w3")
    async with desk.running(desk.sink(answer=failing(DOWN))) as dispatcher:
        await dispatcher.idle()
    sink = desk.sink()
    lease = desk.store.lease

    async def pausing(*args: Any, **options: Any) -> Any:
        dispatcher.pause("crm")
        return await lease(*args, **options)

    desk.store.lease = pausing  # type: ignore[method-assign]
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        assert not sink.attempts


async def test_a_paused_sink_gets_nothing_until_it_is_resumed() -> None:
    desk = Desk()
    desk.store.paused = [Pause("sink", "crm", 0.0, "")]
    sink = desk.sink()
    desk.owe("w1")
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        assert not sink.attempts
        dispatcher.resume("crm")
        await dispatcher.idle()
        assert sink.got == [1]
        dispatcher.pause("crm")
        desk.owe("w1")
        dispatcher.wake(["crm"])
        await dispatcher.idle()
        assert sink.got == [1]
