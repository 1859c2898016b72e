"""What counts as a change of a webinar or a registrant, and what means nothing."""

from __future__ import annotations

import pytest

from tests.integration.scripted_goto import WEBINARS, without
from tests.integration.world import after, known

DAY = 86_400.0


@pytest.mark.parametrize(
    "fields",
    [
        {"numberOfRegistrants": 5, "registrationLinkClicks": 9, "openedInvitations": 7},
        {"inSession": True},
        {"status": "ONGOING"},
        {"brandNew": {"deep": [1, 2]}},
        {"recurrenceType": "SINGLE_SESSION", "experienceType": "CLASSIC"},
        {"description": None, "marker": 1},
        {"organizerKey": "2"},
    ],
)
async def test_no_event_for_what_means_nothing_in_a_webinar(goto, home, fields):
    webinar, _ = await known(goto, home, description="")
    goto.change(webinar, **fields)
    await home.sweep(2)
    assert await after(home) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": "Another"},
        {"description": "Other words"},
        {"timeZone": "UTC"},
        {"isPasswordProtected": True},
        {"experienceType": "broadcast"},
        {"recurrenceType": "series"},
        {"approvalType": "MANUAL"},
    ],
)
async def test_one_event_for_each_field_of_a_webinar_that_means_something(goto, home, fields):
    webinar, _ = await known(goto, home)
    goto.change(webinar, **fields)
    await home.sweep(3)
    (event,) = await home.events("webinar.changed")
    assert event["data"]["changed"] == list(fields)
    assert event["data"][next(iter(fields))] == next(iter(fields.values()))


@pytest.mark.parametrize("name", ["description", "timeZone", "approvalType", "locale"])
async def test_a_field_that_one_shape_lacks_is_no_change(goto, home, name):
    _webinar, _ = await known(goto, home)
    goto.shape = lambda operation, item: {field: value for field, value in item.items() if field != name}
    await home.sweep()
    goto.shape = lambda operation, item: item
    await home.sweep()
    assert await after(home) == []


async def test_a_change_behind_a_field_that_was_lacking_for_a_while_is_told(goto, home):
    webinar, (person,) = await known(goto, home)
    goto.shape = lambda operation, item: {field: value for field, value in item.items() if field != "timeZone"}
    await home.sweep()
    goto.shape = lambda operation, item: item
    goto.alter(webinar, person, timeZone="UTC")
    await home.sweep()
    (event,) = await home.events("registrant.changed")
    assert event["data"]["previous"] == {"timeZone": "Europe/Berlin"}


@pytest.mark.parametrize(
    "fields",
    [
        {"joinUrl": None},
        {"status": "waiting"},
        {"registrationDate": "2026-03-01T09:00:00.123Z"},
        {"numberOfVisits": 7, "source": "mail"},
        {"timeZone": "Europe/Berlin", "marker": 1},
    ],
)
async def test_no_event_for_what_means_nothing_in_a_registrant(goto, home, fields):
    webinar = goto.webinar()
    person = goto.register(webinar, joinUrl="", status="WAITING")
    await home.sweep()
    goto.alter(webinar, person, **fields)
    await home.sweep(2)
    assert await after(home) == []


@pytest.mark.parametrize("name", ["firstName", "lastName", "email", "timeZone", "joinUrl"])
async def test_one_event_for_each_field_of_a_registrant_that_means_something(goto, home, name):
    webinar, (person,) = await known(goto, home)
    goto.alter(webinar, person, **{name: "other"})
    await home.sweep(3)
    (event,) = await home.events("registrant.changed")
    assert (event["data"]["changed"], event["data"][name]) == ([name], "other")


async def test_the_clock_going_past_a_time_of_a_sequence_is_no_change(goto, clock, home):
    """Neither when the list drops what is over, nor when only the webinar's own GET does."""
    times = [goto.span(days) for days in (0.2, 1, 2)]
    webinar, _ = await known(goto, home, times=times, recurrenceType="sequence")
    await clock.advance(0.5 * DAY)
    goto.lie(WEBINARS, without(webinar), times=3)
    await home.sweep(3)
    goto.change(webinar, times=times[1:])
    await home.sweep(2)
    assert await after(home) == []


async def test_a_time_of_a_sequence_that_moves_is_a_change_also_while_the_list_hides_the_webinar(goto, clock, home):
    times = [goto.span(days) for days in (0.2, 1, 2)]
    webinar, _ = await known(goto, home, times=times, recurrenceType="sequence")
    await clock.advance(0.5 * DAY)
    moved = [times[0], times[1], goto.span(5)]
    goto.change(webinar, times=moved)
    goto.lie(WEBINARS, without(webinar))
    await home.sweep(3)
    (event,) = await home.events("webinar.changed")
    assert event["data"]["times"] == moved
    assert event["data"]["previous"] == {"times": times}


async def test_a_time_ahead_that_is_called_off_is_a_change(goto, home):
    times = [goto.span(days) for days in (1, 2)]
    webinar, _ = await known(goto, home, times=times)
    goto.change(webinar, times=times[:1])
    await home.sweep(2)
    assert await after(home) == [("webinar.changed", webinar)]


async def test_each_occurrence_of_a_series_is_a_webinar_of_its_own(goto, home):
    keys = [goto.webinar(days=days, recurrenceType="series", subject="Weekly") for days in (1, 8)]
    goto.register(keys[0])
    await home.sweep()
    goto.change(keys[1], subject="Weekly, moved")
    await home.sweep(2)
    assert await after(home) == [("webinar.changed", keys[1])]


async def test_shapes_that_alternate_hide_no_change_and_make_none(goto, clock, home):
    """The list leaves the webinar out every other time, so that its own GET speaks for it."""
    webinar, _ = await known(goto, home)
    for round_ in range(4):
        if round_ % 2:
            goto.lie(WEBINARS, without(webinar))
        await home.sweep()
    assert await after(home) == []
    for round_, subject in enumerate(["B", "C", "B", "A", "B"]):
        goto.change(webinar, subject=subject)
        if round_ % 2:
            goto.lie(WEBINARS, without(webinar))
        await home.sweep()
        await clock.advance(4000)
    changes = await home.events("webinar.changed")
    assert [event["data"]["subject"] for event in changes] == ["B", "C", "B", "A", "B"]


async def test_a_change_back_right_after_the_list_had_left_the_webinar_out_is_told(goto, home):
    """Its own GET said B; then the list shows the very bytes that it showed before B."""
    webinar, _ = await known(goto, home, subject="A")
    goto.change(webinar, subject="B")
    goto.lie(WEBINARS, without(webinar))
    await home.sweep()
    goto.change(webinar, subject="A")
    await home.sweep(2)
    changes = await home.events("webinar.changed")
    assert [event["data"]["subject"] for event in changes] == ["B", "A"]
