"""What a person hears when polling does not go on, and that it goes on by itself."""

from __future__ import annotations

from collections.abc import Callable

from poller.goto import Limits, Request
from poller.goto.transport import Answer
from poller.testing import FakeClock
from tests.benchmarks.virtual import Life, Planned, living

HOUR, DAY = 3600.0, 86_400.0
TRIGGERS = """
[[triggers]]
name = "signups"
on = ["registrant.*"]
[[triggers]]
name = "ops"
on = ["poller.*"]
"""
PLENTY = Limits(0, 0, 0, 2000)


def webinar(*hours: float) -> Planned:
    """Registrations so many hours after the start."""
    begin = FakeClock().now().timestamp()
    return Planned(begin + 10 * DAY, [begin + hour * HOUR for hour in hours], [begin - DAY])


async def told(life: Life) -> list[str]:
    """About the engine itself."""
    return [event["type"] for event in await life.events() if event["type"].startswith("poller.")]


def answers(status: int, operation: str = "") -> Callable[[Request], Answer | None]:
    def answer(request: Request) -> Answer | None:
        return Answer(status, {}, b"") if operation in ("", request.operation) else None

    return answer


def nothing_instead(request: Request) -> Answer | None:
    return None


async def test_a_trigger_that_hears_nothing_for_too_long_is_said_to_stall_and_to_recover() -> None:
    async with living([webinar(2.0)], PLENTY, settings=TRIGGERS) as life:
        await life.clock.advance(HOUR)
        assert await told(life) == []
        life.transport.instead = answers(503)
        await life.clock.advance(2 * HOUR)
        assert await told(life) == ["poller.trigger.stalled"]
        assert life.app.guard.stalled["signups"].connections == ("acme",)
        life.transport.instead = nothing_instead
        await life.clock.advance(HOUR)
        assert await told(life) == ["poller.trigger.stalled", "poller.trigger.recovered"]
        assert len((await life.seen()).found) == 1
        stalled = next(event for event in await life.events() if event["type"] == "poller.trigger.stalled")
    assert stalled["subject"] == "triggers/signups"
    assert stalled["data"]["connections"] == ["acme"]


async def test_announced_maintenance_stalls_nobody() -> None:
    maintenance = 'maintenance = ["Sun 10:00-12:00"]'  # the clock begins on a Sunday at nine
    async with living([webinar(2.0)], PLENTY, limited=maintenance, settings=TRIGGERS) as life:
        await life.clock.advance(HOUR)
        life.transport.instead = answers(503)
        await life.clock.advance(1.9 * HOUR)
        life.transport.instead = nothing_instead
        await life.clock.advance(HOUR)
        assert await told(life) == []
        assert len((await life.seen()).found) == 1


async def test_a_login_that_may_no_longer_list_webinars_rests_is_told_and_goes_on_by_itself() -> None:
    async with living([webinar(2.0)], PLENTY, settings=TRIGGERS) as life:
        await life.clock.advance(HOUR)
        life.transport.instead = answers(403, "getWebinars")
        await life.clock.advance(3 * HOUR)
        assert life.app.roster.connection("acme").status == "forbidden"
        before = len(life.transport.calls)
        await life.clock.advance(4 * HOUR)
        assert len(life.transport.calls) - before <= 8  # a look an hour, no polls
        life.transport.instead = nothing_instead
        await life.clock.advance(1.5 * HOUR)
        assert life.app.roster.connection("acme").status == "active"
        assert [kind for kind in await told(life) if "connection" in kind] == [
            "poller.connection.unauthorized",
            "poller.connection.recovered",
        ]
        assert len((await life.seen()).found) == 1


async def test_one_refusal_among_answers_stops_nobody() -> None:
    async with living([webinar(2.0)], PLENTY, settings=TRIGGERS) as life:
        refusals = iter([True, True, False] * 100)

        def now_and_then(request: Request) -> Answer | None:
            return Answer(403, {}, b"") if request.operation == "getWebinars" and next(refusals) else None

        life.transport.instead = now_and_then
        await life.clock.advance(6 * HOUR)
        assert sum(operation == "getWebinars" for operation, _ in life.transport.calls) > 6
        assert life.app.roster.connection("acme").status == "active"
        assert len((await life.seen()).found) == 1


async def test_what_was_learnt_of_all_together_outlives_the_process() -> None:
    async with living([webinar(*(hour / 4 for hour in range(1, 90)))], PLENTY, settings=TRIGGERS) as life:
        await life.clock.advance(DAY / 2)
        await life.app.guard.save()
        learnt = life.app.engine._experience.dump()
        life.app.engine._experience.restore({kind: {**rates, "found": [0.0] * 13} for kind, rates in learnt.items()})
        assert life.app.engine._experience.dump() != learnt
        await life.app.guard.recall()
        assert life.app.engine._experience.dump() == learnt
