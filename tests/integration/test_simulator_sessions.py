"""Sessions over a real socket: attendance, what was said, how it went, recordings; all of one mind."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import replace

import pytest

from poller.simulator import Simulator, WorldOptions
from poller.testing import FakeClock
from tests.integration.simulator_guest import ALL_TIME, visiting

OPTIONS = WorldOptions(
    webinars=1, registrants=60, rate_per_minute=0, manual_share=0, series_share=0, sequence_share=0, recording_share=1
)


class Hall:
    """The session that has just ended, as a visitor sees it."""

    def __init__(self, guest, clock):
        self.guest, self.clock, self.world = guest, clock, guest.sim.world
        self.webinar = self.world.webinars()[0]
        self.home = f"{guest.home}/webinars/{self.webinar.webinar_key}"

    async def session(self):
        page = (await self.guest.get(f"{self.home}/sessions")).json
        return page["_embedded"]["sessionInfoResources"][0]

    async def path(self):
        return f"{self.home}/sessions/{(await self.session())['sessionKey']}"

    async def later(self, seconds):
        await self.clock.advance(seconds)
        await self.guest.log_in()


@contextlib.asynccontextmanager
async def after_the_end(options=OPTIONS):
    clock = FakeClock()
    async with visiting(Simulator(options, clock=clock)) as guest:
        hall = Hall(guest, clock)
        await hall.later((hall.webinar.ends - hall.world.now).total_seconds())
        yield hall


async def test_attendance_is_empty_then_partial_then_complete_in_every_list():
    options = replace(OPTIONS, attendance_delay_seconds=600, attendance_settling_seconds=1200)
    async with after_the_end(options) as hall:
        path, everywhere = await hall.path(), f"{hall.home}/attendees"
        promised, counts = (await hall.session())["registrantsAttended"], []
        for seconds in (0, 600, 1200):
            await hall.later(seconds)
            came = (await hall.guest.get(f"{path}/attendees")).json
            assert (await hall.guest.get(path)).json == came
            listed = (await hall.guest.get(everywhere, size=200)).json.get("_embedded", {})
            assert listed.get("attendeeParticipationResponses", []) == came
            counts.append(len(came))
        assert counts[0] == 0 < counts[1] < counts[2] == promised


async def test_an_attendee_is_known_by_key_once_the_attendance_shows_even_without_a_registration():
    options = replace(OPTIONS, attendance_delay_seconds=600, unregistered_share=0.1)
    async with after_the_end(options) as hall:
        path = f"{await hall.path()}/attendees"
        (session,) = hall.world.sessions.completed([hall.webinar], hall.world.now)
        everybody = hall.world.sessions.everybody(session)
        assert {(await hall.guest.get(f"{path}/{one.key}")).status for one in everybody} == {404}
        await hall.later(600)
        registered = hall.world.registrants(hall.webinar.webinar_key)
        assert [one.key for one in everybody if one.key not in registered]
        for one in everybody:
            person = (await hall.guest.get(f"{path}/{one.key}")).json
            assert (str(person["registrantKey"]), person["email"]) == (one.key, one.registrant.email)
        absent = next(key for key in registered if key not in {one.key for one in everybody})
        assert (await hall.guest.get(f"{path}/{absent}/polls")).status == 404


async def test_polls_of_a_session_are_the_sum_of_its_attendees_answers():
    for seed in range(1, 9):
        async with after_the_end(replace(OPTIONS, seed=seed)) as hall:
            path, session = await hall.path(), await hall.session()
            polls = (await hall.guest.get(f"{path}/polls")).json
            assert len(polls) == session["totalPollCount"]
            if not polls:
                continue
            keys = [one["registrantKey"] for one in (await hall.guest.get(f"{path}/attendees")).json]
            given = [(await hall.guest.get(f"{path}/attendees/{key}/polls")).json for key in keys]
            answers = Counter((one["question"], one["answer"]) for own in given for one in own)
            for poll in polls:
                assert poll["numberOfResponses"] == sum(
                    n for (asked, _), n in answers.items() if asked == poll["question"]
                )
                shares = {response["text"]: response["percentage"] for response in poll["responses"]}
                for option, share in shares.items():
                    assert abs(share - 100 * answers[poll["question"], option] / poll["numberOfResponses"]) < 0.1
            return
    raise AssertionError("no session of these seeds has a poll")


async def test_questions_are_listed_with_the_session_and_with_whoever_asked():
    async with after_the_end() as hall:
        path = await hall.path()
        questions = (await hall.guest.get(f"{path}/questions")).json
        assert questions
        assert {len(question["answers"]) for question in questions} == {0, 1}
        for question in questions:
            own = (await hall.guest.get(f"{path}/attendees/{question['askerKey']}/questions")).json
            assert own == [question]


async def test_surveys_come_in_within_the_hour_after_the_end():
    async with after_the_end(replace(OPTIONS, survey_share=0.8)) as hall:
        path = await hall.path()
        (session,) = hall.world.sessions.completed([hall.webinar], hall.world.now)
        keys = [one.key for one in hall.world.sessions.everybody(session)]
        counts = []
        for seconds in (0, 1800, 1800):
            await hall.later(seconds)
            own = [(await hall.guest.get(f"{path}/attendees/{key}/surveys")).json for key in keys]
            (first, _) = (await hall.guest.get(f"{path}/surveys")).json
            counts.append(first["numberOfResponses"])
            assert sum(bool(answers) for answers in own) == counts[-1]
        assert counts[0] == 0 < counts[1] < counts[2] < len(keys)


async def test_performance_agrees_with_the_lists():
    async with after_the_end() as hall:
        path, session = await hall.path(), await hall.session()
        one = (await hall.guest.get(f"{path}/performance")).json
        assert (await hall.guest.get(f"{hall.home}/performance")).json == {session["sessionKey"]: one}
        came = (await hall.guest.get(f"{path}/attendees")).json
        assert one["attendance"]["registrantCount"] == 60
        assert one["attendance"]["percentageAttendance"] == round(100 * len(came) / 60, 1)
        average = sum(person["attendanceTimeInSeconds"] for person in came) / len(came)
        assert abs(one["attendance"]["averageAttendanceTimeSeconds"] - average) < 0.1
        assert one["pollsAndSurveys"]["questionsAsked"] == len((await hall.guest.get(f"{path}/questions")).json)


async def test_a_recording_appears_half_an_hour_after_the_session_everywhere_at_once():
    async with after_the_end() as hall:
        account = hall.world.admin.account_key
        own, search = "/G2W/rest/v2/recordingassets/search", {"accountKey": account}
        of_webinar = f"/G2W/rest/v2/webinars/{hall.webinar.webinar_key}/recordingAssets"
        await hall.later(1799)
        assert (await hall.guest.get(of_webinar)).json["data"] == []
        assert "_embedded" not in (await hall.guest.call("POST", own, json=search)).json
        await hall.later(1)
        (asset,) = (await hall.guest.get(of_webinar)).json["data"]
        assert asset["webinarKey"] == hall.webinar.webinar_key
        (bare,) = (await hall.guest.call("PUT", own, json=search)).json["_embedded"]["recordingAssets"]
        assert bare == {name: asset[name] for name in asset if name not in ("webinarKey", "recordingShareUrl")}
        for other in ({**search, "name": "no such name"}, {"accountKey": "1"}, {}):
            found = await hall.guest.call("POST", own, json=other)
            assert found.status in (400, 403) or "_embedded" not in found.json
        whole = f"/G2W/rest/v2/accounts/{account}/recordingassets/search"
        body = {"organizerKey": hall.webinar.organizer_key, "fromTime": "2000-01-01T00:00:00Z"}
        assert (await hall.guest.call("POST", whole, json=body)).status == 403
        await hall.guest.log_in(hall.world.admin.pat)
        assert (await hall.guest.call("POST", whole, json=body)).json["page"]["totalElements"] == 1
        past = {**body, "toTime": "2001-01-01T00:00:00Z"}
        assert (await hall.guest.call("POST", whole, json=past)).json["page"]["totalElements"] == 0


async def test_the_recordings_of_an_organizer_come_in_the_order_asked_for():
    options = replace(OPTIONS, webinars=6, past_share=1.0)
    async with visiting(Simulator(options, clock=FakeClock())) as guest:
        body = {"accountKey": guest.sim.world.admin.account_key}
        path = "/G2W/rest/v2/recordingassets/search"

        async def found(**order):
            reply = await guest.call("POST", path, json={**body, **order}, params={"size": "200"})
            return reply.json["_embedded"]["recordingAssets"]

        times = [asset["createTime"] for asset in await found()]
        assert len(times) == 6
        assert times == sorted(times, reverse=True)
        names = [asset["name"] for asset in await found(sortField="NAME", sortOrder="ASC")]
        assert names == sorted(names)


@pytest.mark.parametrize("fault", ["missing-item", "empty-list", "short-page", "repeated-items"])
async def test_the_attendees_of_a_session_can_be_lied_about_like_any_list(fault):
    async with after_the_end() as hall:
        path = f"{await hall.path()}/attendees"
        honest = (await hall.guest.get(path)).json
        hall.guest.sim.faults.arm(fault, times=1)
        assert len((await hall.guest.get(path)).json) != len(honest)
        assert (await hall.guest.get(path)).json == honest


async def test_attendees_of_a_session_are_a_bare_array_that_has_no_total_to_lie_about():
    async with after_the_end() as hall:
        hall.guest.sim.faults.arm("total-lies")
        for path in (await hall.path(), f"{await hall.path()}/attendees"):
            hall.guest.sim.faults.struck.clear()
            assert isinstance((await hall.guest.get(path)).json, list)
            assert not hall.guest.sim.faults.struck


async def test_a_stale_session_list_does_not_show_the_session_yet():
    async with after_the_end() as hall:
        hall.guest.sim.faults.arm("stale", times=1, operation="getOrganizerSessions")
        path = f"{hall.guest.home}/sessions"
        assert "_embedded" not in (await hall.guest.get(path, **ALL_TIME)).json
        assert "_embedded" in (await hall.guest.get(path, **ALL_TIME)).json
