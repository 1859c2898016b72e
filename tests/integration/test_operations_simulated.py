"""Operations against the simulator, which has read GoTo's documents by itself: two readings that have to agree."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from poller.app import App
from poller.calling import operations_of
from poller.clock import SystemClock
from poller.errors import NotFound
from poller.goto.operations import Operations
from poller.settings import Settings
from poller.simulator import Simulator, WorldOptions
from poller.simulator.model import Span
from tests.integration.terminal import Terminal
from tests.integration.terminal_world import key_of

WORLD = WorldOptions(organizers=1, webinars=6, registrants=30, rate_per_minute=0, meetings=12)
LONG_AGO, LONG_AFTER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
FREE = "[limits]\nper_second = 0\nper_operation_per_second = 0\nper_connection_per_minute = 0"
SPANS: list[Any] = [
    {"startTime": f"2096-04-0{day}T10:00:00Z", "endTime": f"2096-04-0{day}T11:00:00Z"} for day in (1, 2)
]


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(WORLD, clock=SystemClock())


@pytest.fixture
async def operations(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Operations]:
    terminal = Terminal(tmp_path)
    async with simulator.serve(ticker=False) as terminal.url:
        terminal.log_in_by_pat(simulator, FREE)
        config = terminal.config.read_text().replace("[goto]", f'[goto]\nroom_url = "{terminal.url}"')
        terminal.config.write_text(config)
        app = await App.open(Settings.load(terminal.config))
        yield await operations_of(app, None, lambda _: None)
        await app.close()


async def test_webinars_of_all_three_kinds_are_made_changed_and_cancelled(operations: Operations) -> None:
    single = await operations.create_webinar({"subject": "One", "times": SPANS[:1], "timeZone": "UTC"})
    series = await operations.create_webinar({"subject": "Many", "type": "series", "times": SPANS, "timeZone": "UTC"})
    sequence = await operations.create_webinar(
        {
            "subject": "Again",
            "type": "sequence",
            "recurrenceStart": SPANS[0],
            "recurrencePattern": "weekly",
            "recurrenceEnd": "2096-05-01",
            "timeZone": "UTC",
        }
    )
    assert "recurrenceKey" in series and "recurrenceKey" not in single
    assert len((await operations.get_webinar(sequence["webinarKey"]))["times"]) > 2

    await operations.update_webinar(single["webinarKey"], {"subject": "Two"})
    changed = await operations.get_webinar(single["webinarKey"])
    assert (changed["subject"], changed["times"], changed["timeZone"]) == ("Two", SPANS[:1], "UTC")

    count = len([item async for item in operations.stream_get_webinars(from_time=LONG_AGO, to_time=LONG_AFTER)])
    await operations.cancel_webinar(series["webinarKey"])
    left = [item async for item in operations.stream_get_webinars(from_time=LONG_AGO, to_time=LONG_AFTER)]
    assert len(left) == count - 1, "one of a series, since nobody asked for all of it"
    with pytest.raises(NotFound):
        await operations.get_webinar(series["webinarKey"])


async def test_a_registrant_comes_is_found_and_goes(operations: Operations) -> None:
    webinar = (await operations.create_webinar({"subject": "One", "times": SPANS[:1], "timeZone": "UTC"}))["webinarKey"]
    person: Any = {"firstName": "Bo", "lastName": "Lind", "email": "bo@example.com", "organization": "Kite"}
    made = await operations.create_registrant(webinar, person)
    assert (await operations.create_registrant(webinar, person))["registrantKey"] == made["registrantKey"]
    assert (await operations.get_registrant(webinar, made["registrantKey"]))["organization"] == "Kite"
    streamed = [found async for found in operations.stream_get_all_registrants_for_webinar(webinar)]
    assert streamed == await operations.get_all_registrants_for_webinar(webinar) and len(streamed) == 1
    await operations.delete_registrant(webinar, made["registrantKey"])
    assert await operations.get_all_registrants_for_webinar(webinar) == []


async def test_a_completed_session_is_listed_and_an_empty_one_empty(
    operations: Operations, simulator: Simulator
) -> None:
    world, now = simulator.world, datetime.now(UTC)
    times = (Span(now - timedelta(days=3), now - timedelta(days=3, hours=-1)),)
    over = world.draw_webinar(key_of(simulator), times=times)
    world.add_webinar(over)
    listed = [item async for item in operations.stream_get_organizer_sessions(from_time=LONG_AGO, to_time=LONG_AFTER)]
    assert [session["webinarKey"] for session in listed] == [over.webinar_key]
    assert await operations.get_attendees(over.webinar_key, listed[0]["sessionKey"]) == [], "nobody was registered"
    assert [item async for item in operations.stream_get_attendees_for_all_webinar_sessions(over.webinar_key)] == []


async def test_a_meeting_is_made_changed_and_deleted(operations: Operations) -> None:
    starts = datetime.now(UTC) + timedelta(days=3)
    body: Any = {
        "subject": "Review &lt;1&gt;",
        "starttime": starts,
        "endtime": starts + timedelta(hours=1),
        "passwordrequired": False,
        "conferencecallinfo": "Hybrid",
        "meetingtype": "scheduled",
    }
    (made,) = await operations.create_meeting(body)
    key = made["meetingid"]
    assert key in [meeting["meetingId"] for meeting in await operations.get_upcoming_meetings()]
    await operations.update_meeting(key, {**body, "subject": "Preview"})
    (found,) = await operations.get_meeting(key)
    assert (found["subject"], found["meetingId"]) == ("Preview", key)
    assert (await operations.start_meeting(key))["hostURL"]
    await operations.delete_meeting(key)
    with pytest.raises(NotFound):
        await operations.get_meeting(key)


async def test_held_meetings_their_pages_and_what_is_erased_of_them(operations: Operations) -> None:
    now = datetime.now(UTC)
    held = await operations.get_historical_meetings(start_date=now - timedelta(days=60), end_date=now)
    assert held, "the world begins with a past"
    session = max(held, key=lambda meeting: sum(other["meetingId"] == meeting["meetingId"] for other in held))
    since = {"startDate": now - timedelta(days=60), "meetingId": session["meetingId"], "maxResults": 1}
    pages = [page async for page in operations.pages("getHistoricalMeetingsByMeetingId", since)]
    of_one = sorted(item["sessionId"] for item in itertools.chain(*pages))
    assert of_one == sorted(item["sessionId"] for item in held if item["meetingId"] == session["meetingId"])

    assert {found["meetingId"] for found in await operations.get_attendees_by_meeting(session["meetingId"])} == {
        session["meetingId"]
    }
    assert [profile["userKey"] for profile in await operations.get_profile_meeting()]
    await operations.delete_meeting_session(session["sessionId"])
    left = await operations.get_historical_meetings(start_date=now - timedelta(days=60), end_date=now)
    assert session["sessionId"] not in [meeting.get("sessionId") for meeting in left]
