"""Sessions and who came to them: told once, when it is known, and at no cost before there is anything to know."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from poller.admission import Start
from poller.backfill import Backfill
from poller.errors import NotFound, PermissionRefused
from poller.roster import WEBINARS as WEBINAR_LIST
from state.records import Scope
from tests.integration.scripted_goto import ATTENDEES, REGISTRANTS, SESSIONS, Goto, busy, empty, without
from tests.integration.world import Connection, House, Trigger, begun

HOUR, DAY = 3600.0, 86_400.0


async def told(home: House, *types: str) -> list[tuple[str, str]]:
    """Of sessions and participants."""
    wanted = types or ("webinar.session.completed", "participant.attended", "participant.absent")
    return [(kind, key) for kind, key in await home.news() if kind in wanted]


async def looked(home: House, *seconds: float) -> None:
    """A pass over everything that is due, after each of these pauses."""
    for pause in seconds:
        await home.clock.advance(pause)
        await home.sweep()


async def over(goto: Goto, home: House, people: int = 2) -> tuple[str, str, list[str]]:
    """A webinar that has just ended, as planned, and its session."""
    webinar = goto.webinar(days=1 / 24)
    keys = [goto.register(webinar) for _ in range(people)]
    await home.sweep()
    await home.clock.advance(2 * HOUR)
    return webinar, goto.hold(webinar), keys


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_completed_session_is_told_once_with_its_webinar(goto, clock, home):
    webinar, session, _ = await over(goto, home)
    await looked(home, 120, 360, HOUR, DAY, 7 * DAY)
    (event,) = await home.events("webinar.session.completed")
    assert event["subject"] == f"webinars/{webinar}/sessions/{session}"
    assert (event["partitionkey"], event["source"]) == (webinar, "/organizers/1")
    data = event["data"]
    assert event["time"] == data["endTime"]
    assert {data["webinarKey"], data["sessionKey"], data["webinarSubject"]} == {webinar, session, data["webinarName"]}


async def test_sessions_cost_no_call_before_the_end_and_ever_fewer_after_it(goto, clock, home):
    webinar = goto.webinar(days=3)
    for _ in range(10):
        await looked(home, 0.25 * DAY)
    assert goto.count(SESSIONS, webinar) == 0
    calls = []
    for _ in range(4):
        for _ in range(96):
            await looked(home, 900)
        calls.append(goto.count(SESSIONS, webinar))
    assert calls == sorted(calls)
    assert 4 <= calls[0] <= 8
    assert calls[-1] - calls[0] <= 3
    await looked(home, *[DAY] * 20)
    assert goto.count(SESSIONS, webinar) <= 10
    assert home.roster.target("acme", Scope("session", webinar)).ends is not None


async def test_a_session_that_ends_later_than_planned_is_found_all_the_same(goto, clock, home):
    webinar = goto.webinar(days=1 / 24)
    await home.sweep()
    await looked(home, 2 * HOUR + 120, 360, HOUR)
    session = goto.hold(webinar)
    await looked(home, 2 * HOUR)
    assert await told(home) == [("webinar.session.completed", session)]


async def test_every_session_of_a_sequence_is_told_after_its_own_end(goto, clock, home):
    times = [goto.span(1), goto.span(8), goto.span(15)]
    webinar = goto.webinar(recurrenceType="sequence", times=times)
    await home.sweep()
    found = []
    for days in (1, 7, 7):
        await clock.advance(days * DAY + (HOUR if days == 1 else 0))
        session = goto.hold(webinar)
        await looked(home, 120)
        found.append(("webinar.session.completed", session))
        assert await told(home) == found
        assert home.roster.target("acme", Scope("participant", f"{webinar}/{session}")) is not None


async def test_a_webinar_that_moves_takes_its_looks_along(goto, clock, home):
    webinar = goto.webinar(days=1)
    await home.sweep()
    goto.move(webinar, days=5)
    await looked(home, 60, 2 * DAY)
    assert goto.count(SESSIONS, webinar) == 0
    await looked(home, 4 * DAY)
    assert goto.count(SESSIONS, webinar) == 1


async def test_a_session_that_counts_differently_later_is_no_news(goto, clock, home):
    webinar, session, _ = await over(goto, home)
    await looked(home, 120)
    goto.webinars[webinar].sessions[session]["registrantsAttended"] = 2
    await looked(home, HOUR, DAY)
    assert await told(home, "webinar.session.completed") == [("webinar.session.completed", session)]


@pytest.mark.parametrize("lie", [empty, without("15887209")])
async def test_history_that_leaves_out_a_session_takes_nothing_back(goto, clock, home, lie):
    _, session, _ = await over(goto, home)
    await looked(home, 120)
    goto.lie(SESSIONS, lie, times=3)
    goto.lie(ATTENDEES, empty, times=3)
    await looked(home, HOUR, 3 * HOUR, DAY, DAY, 7 * DAY)
    assert await told(home, "webinar.session.completed") == [("webinar.session.completed", session)]
    assert not [kind for kind, _ in await home.news() if kind.endswith(("removed", "cancelled"))]


# ── who came ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_came_is_told_when_the_list_shows_them_with_minutes_and_stays(goto, clock, home):
    webinar, session, (ann, _) = await over(goto, home)
    await looked(home, 120)
    assert await told(home) == [("webinar.session.completed", session)]
    goto.attend(webinar, session, ann, minutes=42)
    await looked(home, 360)
    (event,) = await home.events("participant.attended")
    assert event["subject"] == f"webinars/{webinar}/sessions/{session}/participants/{ann}"
    data = event["data"]
    assert (data["attended"], data["attendanceMinutes"]) == (True, 42)
    assert [set(stay) for stay in data["intervals"]] == [{"joinTime", "leaveTime"}]
    assert event["time"] == data["intervals"][0]["joinTime"]
    assert (data["registrantKey"], data["sessionKey"], data["webinarKey"]) == (ann, session, webinar)
    assert data["email"] == f"{ann}@example.com"
    assert "late" not in data


async def test_who_did_not_come_is_told_once_attendance_has_settled_and_not_before(goto, clock, home):
    webinar, session, (ann, bob) = await over(goto, home)
    goto.attend(webinar, session, ann)
    await looked(home, 120, HOUR, 6 * HOUR, 12 * HOUR)
    assert await told(home, "participant.absent") == []
    await looked(home, 6 * HOUR)
    assert await told(home, "participant.absent") == [("participant.absent", bob)]
    (event,) = await home.events("participant.absent")
    assert (event["data"]["attended"], event["data"]["attendanceMinutes"], event["data"]["intervals"]) == (False, 0, [])
    await looked(home, DAY, 7 * DAY)
    assert len(await told(home)) == 3


async def test_only_the_approved_who_had_registered_by_then_can_be_absent(goto, clock, home):
    webinar, _, (ann, bob) = await over(goto, home)
    goto.alter(webinar, bob, status="WAITING")
    await clock.advance(60)
    goto.register(webinar)  # for a later session of the same webinar
    await looked(home, 120, DAY)
    assert await told(home, "participant.absent") == [("participant.absent", ann)]


async def test_a_list_that_still_moves_has_not_settled(goto, clock, home):
    webinar, session, (ann, bob) = await over(goto, home)
    goto.attend(webinar, session, ann)
    await looked(home, 120, 8 * HOUR)
    goto.attend(webinar, session, bob)
    await looked(home, 16 * HOUR)
    assert await told(home, "participant.attended") == [("participant.attended", ann), ("participant.attended", bob)]
    assert await told(home, "participant.absent") == []


async def test_a_list_that_lies_when_it_counts_makes_nobody_absent(goto, clock, home):
    webinar, session, (ann, bob) = await over(goto, home)
    goto.attend(webinar, session, ann)
    await looked(home, 120, 8 * HOUR)
    goto.lie(ATTENDEES, empty)
    await looked(home, 16 * HOUR)
    assert await told(home, "participant.absent") == [("participant.absent", bob)]
    goto.lie(ATTENDEES, empty)
    await looked(home, DAY, DAY * 6)
    assert len(await told(home)) == 3


async def test_who_shows_up_after_they_were_told_absent_attended_late(goto, clock, home):
    webinar, session, (ann, bob) = await over(goto, home)
    goto.attend(webinar, session, ann)
    await looked(home, 120, DAY)
    goto.attend(webinar, session, bob)
    await looked(home, DAY)
    assert await told(home, "participant.attended", "participant.absent") == [
        ("participant.attended", ann),
        ("participant.absent", bob),
        ("participant.attended", bob),
    ]
    late = (await home.events("participant.attended"))[-1]["data"]
    assert (late["attended"], late["late"]) == (True, True)
    assert "previous" not in late
    goto.webinars[webinar].came[session].pop(bob)
    await looked(home, 5 * DAY)
    assert len({event["id"] for event in await home.events()}) == len(await home.events())
    assert (await told(home))[-1] == ("participant.attended", bob)


async def test_attended_has_one_id_whether_it_was_known_at_once_or_late(goto, clock, home):
    webinar, session, (ann, _) = await over(goto, home)
    await looked(home, 120, DAY)
    goto.attend(webinar, session, ann)
    await looked(home, DAY)
    (late,) = await home.events("participant.attended")
    other = await begun(goto, clock, Connection(start=Start(history=True), past=timedelta(days=9)))
    ids = {event["subject"]: event["id"] for event in await other.events("participant.attended")}
    assert ids[late["subject"]] == late["id"]
    await other.close()


async def test_somebody_without_a_registration_is_told_as_well(goto, clock, home):
    webinar, session, _ = await over(goto, home, people=0)
    goto.attend(webinar, session, "99")
    await looked(home, 120, DAY)
    assert await told(home) == [("webinar.session.completed", session), ("participant.attended", "99")]


async def test_more_minutes_later_are_no_news(goto, clock, home):
    webinar, session, (ann, _) = await over(goto, home)
    goto.attend(webinar, session, ann, minutes=10)
    await looked(home, 120)
    goto.attend(webinar, session, ann, minutes=55)
    await looked(home, HOUR, 3 * HOUR)
    assert await told(home, "participant.attended") == [("participant.attended", ann)]


async def test_a_record_that_cannot_be_read_may_be_anybody(goto, clock, home):
    """Nobody is absent as long as somebody who came is not known."""
    webinar, session, (ann, bob) = await over(goto, home)
    goto.attend(webinar, session, ann)
    goto.attend(webinar, session, bob, registrantKey=None)
    await looked(home, 120, DAY)
    assert await told(home, "participant.attended", "participant.absent") == [("participant.attended", ann)]
    goto.attend(webinar, session, bob)
    await looked(home, DAY, 5 * DAY)
    assert (await told(home))[-1] == ("participant.attended", bob)


async def test_without_registrants_to_compare_with_who_came_is_told_and_who_did_not_waits(goto, clock, home):
    webinar, session, (ann, bob) = await over(goto, home)
    goto.attend(webinar, session, ann)
    await looked(home, 120)
    goto.fail(REGISTRANTS, busy, times=20)
    await looked(home, DAY)
    assert await told(home, "participant.absent") == []
    goto.mend()
    await looked(home, 60)
    assert await told(home, "participant.absent") == [("participant.absent", bob)]


async def test_a_forgotten_person_is_neither_absent_nor_attended(goto, clock, home):
    webinar, session, (ann, bob) = await over(goto, home)
    home.forgotten.update({f"{ann}@example.com", f"{bob}@example.com"})
    goto.attend(webinar, session, ann)
    await looked(home, 120, DAY)
    assert await told(home) == [("webinar.session.completed", session)]


async def test_a_sink_gets_the_session_before_who_came_to_it(goto, clock, home):
    webinar, session, people = await over(goto, home, people=3)
    for person in people[:2]:
        goto.attend(webinar, session, person)
    await looked(home, 120, DAY)
    events = [event for event in await home.events() if event["partitionkey"] == webinar]
    kinds = [event["type"].removeprefix("com.goto.") for event in events]
    assert kinds == [
        "webinar.created",
        *["registrant.added"] * 3,
        "webinar.session.completed",
        *["participant.attended"] * 2,
        "participant.absent",
    ]


# ── before our time ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_sessions_that_ended_before_the_baseline_are_silent_and_not_even_looked_at(goto, clock):
    webinar = goto.webinar(days=-0.5)
    session = goto.hold(webinar, endTime=goto.ago(hours=11))
    goto.attend(webinar, session, goto.register(webinar, registrationDate=goto.ago(days=2)))
    home = await begun(goto, clock)
    await looked(home, HOUR, DAY, 7 * DAY)
    assert await told(home) == []
    assert goto.count(SESSIONS, webinar) == goto.count(ATTENDEES, webinar) == 0
    await home.close()


async def test_a_webinar_that_overruns_while_we_begin_is_told(goto, clock):
    webinar = goto.webinar(days=-1.1 / 24)
    home = await begun(goto, clock)
    await clock.advance(600)
    session = goto.hold(webinar)
    await looked(home, HOUR)
    assert await told(home) == [("webinar.session.completed", session)]
    await home.close()


async def test_history_is_told_as_history_when_it_is_asked_for(goto, clock):
    webinar = goto.webinar(days=-0.5)
    session = goto.hold(webinar, startTime=goto.ago(hours=12), endTime=goto.ago(hours=11))
    ann, bob = (goto.register(webinar, registrationDate=goto.ago(days=2)) for _ in range(2))
    goto.attend(webinar, session, ann)
    home = await begun(goto, clock, Connection(start=Start(history=True)), settle=6 * HOUR)
    found = await home.events("webinar.session.completed", "participant.attended", "participant.absent")
    assert [event["subject"].rpartition("/")[2] for event in found] == [session, ann, bob]
    assert all(event["backfill"] for event in found)
    await home.close()


async def test_a_backfill_tells_sessions_and_attendance_that_were_silent_once(goto, clock):
    webinar = goto.webinar(days=-20)
    session = goto.hold(webinar, startTime=goto.ago(days=20), endTime=goto.ago(days=19.9))
    people = [goto.register(webinar, registrationDate=goto.ago(days=30)) for _ in range(2)]
    goto.attend(webinar, session, people[0])
    home = await begun(goto, clock)
    since = goto.now().replace(year=2025)
    tally = await Backfill(home.engine, home.roster, clock, "acme", since).run(lambda _: None)
    assert tally.as_dict() == {
        "webinars": 1,
        "registrants": 2,
        "sessions": 1,
        "participants": 2,
        "lists": 4,
        "failed": 0,
    }
    assert all(event["backfill"] for event in await home.events())
    count = len(await home.events())
    again = await Backfill(home.engine, home.roster, clock, "acme", since).run(lambda _: None)
    assert (again.found.total(), len(await home.events())) == (0, count)
    await looked(home, HOUR, DAY, 8 * DAY)
    assert len(await home.events()) == count
    await home.close()


async def test_a_state_from_before_there_were_sessions_learns_them(goto, clock, home):
    webinar = goto.webinar(days=1 / 24)
    await home.sweep()
    home.roster.drop("acme", Scope("session", webinar))
    target = home.roster.target("acme", WEBINAR_LIST)
    home.roster.put(replace(target, digest=b""))
    await home.sweep()
    await clock.advance(2 * HOUR)
    session = goto.hold(webinar)
    await looked(home, 120)
    assert await told(home) == [("webinar.session.completed", session)]


# ── who hears of it, and what it costs ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("on", "sessions", "attendees"),
    [
        ("registrant.*", False, False),
        ("webinar.created", False, False),
        ("webinar.session.completed", True, False),
        ("participant.absent", True, True),
    ],
)
async def test_what_no_trigger_could_match_costs_no_call(goto, clock, on, sessions, attendees):
    home = await begun(goto, clock, triggers=[Trigger(on=[on])])
    webinar, _, _ = await over(goto, home)
    await looked(home, 120, DAY)
    assert bool(goto.count(SESSIONS, webinar)) is sessions
    assert bool(goto.count(ATTENDEES, webinar)) is attendees
    await home.close()


@pytest.mark.parametrize("error", [NotFound, PermissionRefused])
async def test_what_is_refused_is_asked_for_again_at_the_next_look_and_blocks_nothing(goto, clock, home, error):
    webinar, session, (ann, _) = await over(goto, home)
    goto.attend(webinar, session, ann)
    goto.fail(ATTENDEES, lambda: error("GoTo answered 40x"), times=1)
    await looked(home, 120)
    assert await told(home) == [("webinar.session.completed", session)]
    new = goto.register(webinar)
    await looked(home, 240)
    assert set((await home.news())[-2:]) == {("registrant.added", new), ("participant.attended", ann)}


async def test_a_shared_webinars_attendance_is_read_once_and_told_to_both(goto, clock):
    connections = [Connection("acme", "1"), Connection("beta", "2")]
    both = [Trigger("a", connections=["acme"]), Trigger("b", connections=["beta"], sinks=["queue"])]
    home = await begun(goto, clock, *connections, triggers=both)
    webinar = goto.webinar(organizers="12", days=1 / 24)
    ann = goto.register(webinar)
    await home.sweep()
    await clock.advance(2 * HOUR)
    session = goto.hold(webinar)
    goto.attend(webinar, session, ann)
    await looked(home, 120)
    assert goto.count(SESSIONS, webinar) == goto.count(ATTENDEES, webinar) == 1
    assert len(await home.events()) == 4
    assert sorted(await home.owed("crm")) == sorted(await home.owed("queue"))
    home.paused.add("acme")
    bob = goto.register(webinar)
    goto.attend(webinar, session, bob)
    await looked(home, HOUR)
    assert ("participant.attended", bob) in await home.news()
    await home.close()


async def test_a_webinar_deleted_after_it_was_held_is_told_once_and_its_lists_are_dropped(goto, clock, home):
    webinar, session, (ann, _) = await over(goto, home)
    goto.attend(webinar, session, ann)
    await looked(home, 120)
    goto.cancel(webinar)
    await home.settled()
    assert [target.scope for target in home.roster.of("acme") if not target.scope.is_root] == []
    calls = goto.count(ATTENDEES, webinar), goto.count(SESSIONS, webinar)
    await looked(home, DAY, 8 * DAY)
    assert (goto.count(ATTENDEES, webinar), goto.count(SESSIONS, webinar)) == calls


async def test_a_restart_keeps_the_dates(goto, clock, tmp_path):
    home = await begun(goto, clock, path=tmp_path / "poller.db")
    webinar, session, (ann, bob) = await over(goto, home)
    goto.attend(webinar, session, ann)
    await looked(home, 120)
    await home.restart()
    calls = goto.count(SESSIONS, webinar)
    await home.sweep()
    assert goto.count(SESSIONS, webinar) == calls
    await looked(home, DAY)
    assert (await told(home))[-1] == ("participant.absent", bob)
    await home.close()
