"""The simulated API over a real socket: what each call answers, and to whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from poller.simulator import ApiOptions, LimitOptions, Simulator, Span, WorldOptions
from poller.testing import FakeClock
from tests.integration.simulator_guest import ALL_TIME, BASIC, visiting

QUIET = WorldOptions(webinars=5, registrants=25, rate_per_minute=0, manual_share=0.0, series_share=0.0)
PERSON = {"firstName": "Bo", "lastName": "Lind", "email": "bo@example.com"}


def quiet(clock=None, limits=None, **api) -> Simulator:
    return Simulator(QUIET, clock=clock or FakeClock(), limits=limits, api=ApiOptions(**api))


async def test_a_walk_over_the_pages_meets_every_webinar_once():
    async with visiting(quiet()) as guest:
        keys, path = [], f"{guest.home}/webinars"
        for number in range(3):
            payload = (await guest.get(path, page=number, size=2, **ALL_TIME)).json
            assert payload["page"] == {"size": 2, "totalElements": 5, "totalPages": 3, "number": number}
            keys += [item["webinarKey"] for item in payload["_embedded"]["webinars"]]
        assert keys == [w.webinar_key for w in guest.sim.world.webinars()]
        beyond = (await guest.get(path, page=3, size=2, **ALL_TIME)).json
        assert "_embedded" not in beyond


async def test_an_empty_list_has_no_embedded_and_the_range_is_about_the_webinars_times():
    async with visiting(quiet()) as guest:
        path = f"{guest.home}/webinars"
        past = {"fromTime": "2001-01-01T00:00:00Z", "toTime": "2002-01-01T00:00:00+02:00"}
        page = {"size": 20, "totalElements": 0, "totalPages": 0, "number": 0}
        assert (await guest.get(path, **past)).json == {"page": page}
        span = guest.sim.world.webinars()[2].times[0]
        exact = {"fromTime": span.start.isoformat(), "toTime": span.end.isoformat()}
        found = (await guest.get(path, **exact)).json["_embedded"]["webinars"]
        assert guest.sim.world.webinars()[2].webinar_key in [item["webinarKey"] for item in found]


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"fromTime": ALL_TIME["fromTime"]},
        {"fromTime": "yesterday", "toTime": ALL_TIME["toTime"]},
        {"fromTime": "2001-01-01T00:00:00", "toTime": ALL_TIME["toTime"]},
        {**ALL_TIME, "size": "201"},
        {**ALL_TIME, "page": "-1"},
    ],
)
async def test_a_list_without_a_sound_range_and_page_is_refused_with_400(query):
    async with visiting(quiet()) as guest:
        reply = await guest.get(f"{guest.home}/webinars", **query)
        assert reply.status == 400
        assert set(reply.json) == {"errorCode", "description", "incident"}


async def test_a_size_above_200_may_be_clamped_instead():
    async with visiting(quiet(oversized_pages="clamp")) as guest:
        payload = (await guest.get(f"{guest.home}/webinars", size=1000, **ALL_TIME)).json
        assert payload["page"]["size"] == 200


@pytest.mark.parametrize(
    ("keys", "listed", "by_key", "registrant"),
    [("spec", str, int, int), ("wild", str, str, int), ("strings", str, str, str)],
)
async def test_keys_have_the_types_of_the_chosen_mode(keys, listed, by_key, registrant):
    async with visiting(quiet(keys=keys)) as guest:
        items = await guest.listed()
        key = next(iter(items))
        assert type(items[key]["webinarKey"]) is listed
        one = (await guest.get(f"{guest.home}/webinars/{key}")).json
        assert type(one["webinarKey"]) is by_key
        assert str(one["webinarKey"]) == key
        people = (await guest.get(f"{guest.home}/webinars/{key}/registrants")).json
        assert {type(person["registrantKey"]) for person in people} == {registrant}


async def test_registrants_come_as_a_bare_array_and_as_pages_when_asked_for():
    async with visiting(quiet()) as guest:
        path = guest.registrants_of()
        everybody = (await guest.get(path)).json
        assert len(everybody) == 5
        first = (await guest.get(path, limit=3)).json
        second = (await guest.get(path, limit=3, page=1)).json
        assert first["data"] + second["data"] == everybody
        assert {k: v for k, v in second.items() if k != "data"} == {
            "total": 5, "page": 1, "limit": 3, "pageSize": 2,
        }  # fmt: skip
        assert isinstance((await guest.get(path, page=0)).json, dict)
        assert (await guest.get(path, size=3)).json == everybody


async def test_a_changed_list_is_never_answered_from_memory():
    async with visiting(quiet()) as guest:
        path, world = guest.registrants_of(), guest.sim.world
        before = (await guest.get(path)).json
        new = world.register()
        world.set_status(new.webinar_key, new.registrant_key, "DENIED")
        world.remove_registrant(new.webinar_key, str(before[0]["registrantKey"]))
        after = (await guest.get(path)).json
        assert after[:-1] == before[1:]
        assert (after[-1]["registrantKey"], after[-1]["status"]) == (int(new.registrant_key), "DENIED")


async def test_registering_answers_201_then_409_with_the_same_key_and_join_url():
    async with visiting(quiet()) as guest:
        path = guest.registrants_of()
        fields = {**PERSON, "organization": "Kite", "responses": [{"question": "Why?", "answer": "So"}]}
        made = await guest.call("POST", path, json=fields)
        assert made.status == 201
        assert made.json["joinUrl"].startswith("https://")
        again = await guest.call("POST", path, json=PERSON)
        assert again.status == 409
        same = ("registrantKey", "joinUrl")
        assert [again.json[name] for name in same] == [made.json[name] for name in same]
        detail = (await guest.get(f"{path}/{made.json['registrantKey']}")).json
        assert {name: detail[name] for name in fields} == fields
        assert detail["type"] == "REGULAR"
        listed = (await guest.get(path)).json[-1]
        assert "organization" not in listed
        assert listed["email"] == "bo@example.com"


async def test_the_old_accept_header_keeps_only_name_and_email():
    async with visiting(quiet()) as guest:
        path = guest.registrants_of()
        old = {**guest.headers, "Accept": "application/vnd.citrix.g2wapi-v1.1+json"}
        made = await guest.call("POST", path, json={**PERSON, "jobTitle": "Pilot"}, headers=old)
        detail = (await guest.get(f"{path}/{made.json['registrantKey']}")).json
        assert detail["jobTitle"] != "Pilot"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"firstName": "Bo", "email": "bo@example.com"}'])
async def test_a_registration_without_its_three_fields_is_refused(body):
    async with visiting(quiet()) as guest:
        assert (await guest.call("POST", guest.registrants_of(), data=body)).status == 400


async def test_join_url_is_empty_until_approved():
    async with visiting(quiet()) as guest:
        webinar = guest.sim.world.create_webinar(approval="MANUAL")
        path = f"{guest.home}/webinars/{webinar.webinar_key}/registrants"
        made = (await guest.call("POST", path, json=PERSON)).json
        assert (made["status"], made["joinUrl"]) == ("WAITING", "")
        guest.sim.world.set_status(webinar.webinar_key, str(made["registrantKey"]), "APPROVED")
        (person,) = (await guest.get(path)).json
        assert person["joinUrl"]


async def test_a_removed_registrant_is_404_and_off_the_list():
    async with visiting(quiet()) as guest:
        path = guest.registrants_of()
        key = (await guest.get(path)).json[0]["registrantKey"]
        assert (await guest.call("DELETE", f"{path}/{key}")).status == 204
        assert (await guest.get(f"{path}/{key}")).status == 404
        assert key not in [person["registrantKey"] for person in (await guest.get(path)).json]
        assert (await guest.call("DELETE", f"{path}/{key}")).status == 404


async def test_a_cancelled_webinar_is_404_with_its_registrants_and_off_the_list():
    async with visiting(quiet()) as guest:
        key = next(iter(await guest.listed()))
        path = f"{guest.home}/webinars/{key}"
        assert (await guest.call("DELETE", path)).status == 204
        for gone in (path, f"{path}/registrants"):
            reply = await guest.get(gone)
            assert (reply.status, reply.json["errorCode"]) == (404, "NotFound")
        assert key not in await guest.listed()


async def test_a_webinar_in_session_is_shown_as_such_and_cannot_be_cancelled():
    clock = FakeClock()
    async with visiting(quiet(clock)) as guest:
        webinar = guest.sim.world.webinars()[0]
        assert (await guest.get(f"{guest.home}/insessionWebinars")).json == []
        await clock.advance((webinar.times[0].start - guest.sim.world.now).total_seconds())
        await guest.log_in()
        running = (await guest.get(f"{guest.home}/insessionWebinars")).json
        assert webinar.webinar_key in [str(item["webinarKey"]) for item in running]
        path = f"{guest.home}/webinars/{webinar.webinar_key}"
        assert (await guest.get(path)).json["inSession"] is True
        assert (await guest.call("DELETE", path)).status == 409
        assert (await guest.call("PUT", path, json={"subject": "Late"})).status == 400


async def test_webinars_are_made_changed_and_a_series_goes_as_a_whole():
    times = [{"startTime": f"2026-0{month}-01T10:00:00Z", "endTime": f"2026-0{month}-01T11:00:00Z"} for month in (6, 7)]
    async with visiting(quiet()) as guest:
        path = f"{guest.home}/webinars"
        before = await guest.listed()
        body = {"subject": "Twice", "times": times, "type": "series"}
        made = await guest.call("POST", path, json=body)
        assert made.status == 201
        assert made.json["recurrenceKey"]
        new = {k: v for k, v in (await guest.listed()).items() if k not in before}
        assert [item["times"] for item in new.values()] == [[times[0]], [times[1]]]
        assert made.json["webinarKey"] in new
        one = f"{path}/{made.json['webinarKey']}"
        assert (await guest.call("PUT", one, json={"subject": "Thrice"})).status == 202
        assert (await guest.get(one)).json["subject"] == "Thrice"
        assert (await guest.call("DELETE", one)).status == 204
        assert await guest.listed() == before


async def test_a_sequence_shows_all_times_in_lists_and_only_those_ahead_by_key():
    clock = FakeClock()
    async with visiting(quiet(clock)) as guest:
        start = guest.sim.world.now + timedelta(days=1)
        span = Span(start, start + timedelta(hours=1))
        body = {
            "subject": "Daily",
            "type": "sequence",
            "recurrencePattern": "daily",
            "recurrenceStart": {
                "startTime": span.start.isoformat(),
                "endTime": span.end.isoformat(),
            },
            "recurrenceEnd": f"{start + timedelta(days=2):%Y-%m-%d}",
        }
        made = await guest.call("POST", f"{guest.home}/webinars", json=body)
        key = made.json["webinarKey"]
        assert "recurrenceKey" not in made.json
        await clock.advance(1.5 * 86400)
        await guest.log_in()
        assert len((await guest.listed())[key]["times"]) == 3
        assert len((await guest.get(f"{guest.home}/webinars/{key}")).json["times"]) == 2


async def test_a_session_appears_when_its_time_is_over_and_its_attendance_after_the_delay():
    clock = FakeClock()
    options = replace(QUIET, sequence_share=0.0, manual_share=0.5, registrants=200, attendance_delay_seconds=600)
    async with visiting(Simulator(options, clock=clock)) as guest:
        webinar = guest.sim.world.webinars()[0]
        path = f"{guest.home}/webinars/{webinar.webinar_key}"
        await clock.advance((webinar.ends - guest.sim.world.now).total_seconds() - 1)
        await guest.log_in()
        assert "_embedded" not in (await guest.get(f"{path}/sessions")).json
        await clock.advance(1)
        (session,) = (await guest.get(f"{path}/sessions")).json["_embedded"]["sessionInfoResources"]
        assert session["webinarKey"] == webinar.webinar_key
        everywhere = (await guest.get(f"{guest.home}/sessions", size=200, **ALL_TIME)).json
        assert session in everywhere["_embedded"]["sessionInfoResources"]
        assert "_embedded" not in (await guest.get(f"{path}/attendees")).json
        await clock.advance(600)
        came = (await guest.get(f"{path}/attendees", size=200)).json["_embedded"]["attendeeParticipationResponses"]
        people = {str(p["registrantKey"]): p for p in (await guest.get(f"{path}/registrants")).json}
        assert 0 < len(came) < len(people)
        assert {people[str(a["registrantKey"])]["status"] for a in came} == {"APPROVED"}
        assert len(came) == session["registrantsAttended"]
        span = webinar.times[0]
        for stay in (stay for attendee in came for stay in attendee["attendance"]):
            assert f"{span.start:%FT%TZ}" <= stay["joinTime"] < stay["leaveTime"] <= f"{span.end:%FT%TZ}"
        assert (await guest.get(f"{path}/sessions/1/attendees")).status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"subject": "x", "times": []}',
        b'{"subject": "x", "times": [{"startTime": "2026-06-01T10:00:00Z", "endTime": "2026-06-01T09:00:00Z"}]}',
        b'{"subject": "x", "type": "sequence"}',
    ],
)
async def test_a_webinar_without_subject_or_sound_times_is_refused(body):
    async with visiting(quiet()) as guest:
        assert (await guest.call("POST", f"{guest.home}/webinars", data=body)).status == 400


async def test_a_missing_unknown_or_expired_token_is_403_invalid_token_and_401_at_the_identity_service():
    clock = FakeClock()
    async with visiting(quiet(clock)) as guest:
        expired = dict(guest.headers)
        await clock.advance(3600)
        for headers in ({}, {"Authorization": "Bearer nonsense"}, expired):
            reply = await guest.call("GET", f"{guest.home}/webinars", headers=headers)
            assert (reply.status, reply.json["int_err_code"]) == (403, "InvalidToken")
            identity = await guest.call("GET", "/identity/v1/Users/me", headers=headers)
            assert (identity.status, identity.body) == (401, b"")
            assert "invalid_token" in identity.headers["WWW-Authenticate"]


async def test_who_am_i_answers_the_login_on_both_services_and_scim_needs_its_scope():
    async with visiting(quiet()) as guest:
        person = guest.sim.world.organizers[0]
        me = (await guest.get("/admin/rest/v1/me")).json
        assert (me["key"], me["accountKey"]) == (person.organizer_key, person.account_key)
        assert (await guest.get("/identity/v1/Users/me")).json["id"] == person.organizer_key
    async with visiting(quiet(scopes="collab:")) as guest:
        refused = await guest.get("/identity/v1/Users/me")
        assert refused.status == 403
        assert "int_err_code" not in refused.json


async def test_another_organizers_webinar_is_404_and_another_organizers_list_is_a_plain_403():
    sim = Simulator(replace(QUIET, organizers=2), clock=FakeClock())
    async with visiting(sim) as guest:
        foreign = next(w for w in sim.world.webinars() if w.organizer_key != sim.world.webinars()[0].organizer_key)
        assert (await guest.get(f"{guest.home}/webinars/{foreign.webinar_key}")).status == 404
        refused = await guest.get(f"/G2W/rest/v2/organizers/{foreign.organizer_key}/webinars", **ALL_TIME)
        assert refused.status == 403
        assert "int_err_code" not in refused.json
        assert (await guest.get(f"{guest.home}/webinars/abc")).status == 400


async def test_the_administrator_lists_the_whole_account_and_nobody_else_may():
    sim = Simulator(replace(QUIET, organizers=2), clock=FakeClock())
    async with visiting(sim) as guest:
        path = f"/G2W/rest/v2/accounts/{sim.world.admin.account_key}/webinars"
        assert (await guest.get(path, **ALL_TIME)).status == 403
        await guest.log_in(sim.world.admin.pat)
        items = (await guest.get(path, **ALL_TIME)).json["_embedded"]["webinars"]
        owners = {item["organizerKey"] for item in items}
        assert owners == {person.organizer_key for person in sim.world.organizers}
        assert (await guest.get(guest.registrants_of())).status == 200


async def test_a_co_organized_webinar_is_listed_under_both_with_its_owners_key():
    sim = Simulator(replace(QUIET, organizers=2), clock=FakeClock())
    one, two = sim.world.organizers
    shared = sim.world.create_webinar(one.organizer_key, coorganizers=(two.organizer_key,))
    async with visiting(sim) as guest:
        mine = (await guest.listed())[shared.webinar_key]
        await guest.log_in(two.pat)
        path = f"/G2W/rest/v2/organizers/{two.organizer_key}/webinars"
        theirs = (await guest.get(path, size=200, **ALL_TIME)).json["_embedded"]["webinars"]
        assert mine in theirs
        assert (await guest.get(f"{path}/{shared.webinar_key}/registrants")).json == []


async def test_the_old_list_has_the_counts_unless_it_is_switched_off():
    async with visiting(quiet()) as guest:
        path = guest.home.replace("/v2", "") + "/upcomingWebinars"
        counts = {str(item["webinarKey"]): item["numberOfRegistrants"] for item in (await guest.get(path)).json}
        assert counts == {w.webinar_key: 5 for w in guest.sim.world.webinars()}
    async with visiting(quiet(old_lists=False)) as guest:
        gone = await guest.get(guest.home.replace("/v2", "") + "/upcomingWebinars")
        assert (gone.status, gone.json["errorCode"]) == (404, "NOT_FOUND")


async def test_an_unknown_path_is_answered_as_the_gateway_does():
    async with visiting(quiet()) as guest:
        reply = await guest.get("/G2W/rest/v3/nothing")
        assert (reply.status, reply.json) == (404, {"errorCode": "NOT_FOUND", "message": "Not found"})


async def test_the_login_page_redirects_at_once_and_the_code_buys_tokens():
    async with visiting(quiet(), log_in=False) as guest:
        ask = {
            "client_id": "simulator",
            "redirect_uri": "http://localhost:1/cb",
            "response_type": "code",
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",  # RFC 7636, appendix B
            "code_challenge_method": "S256",
            "state": "s",
        }
        page = await guest.get("/oauth/authorize", **ask)
        assert page.status == 302
        location = page.headers["Location"]
        code = location.partition("code=")[2].partition("&")[0]
        bought = await guest.token(
            grant_type="authorization_code",
            code=code,
            redirect_uri=ask["redirect_uri"],
            code_verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        )
        assert bought.status == 200
        assert location.endswith("state=s")
        stranger = await guest.get("/oauth/authorize", **{**ask, "client_id": "x"})
        assert stranger.status == 400


async def test_wrong_client_credentials_are_answered_as_rfc_6749_says():
    async with visiting(quiet(), log_in=False) as guest:
        reply = await guest.call("POST", "/oauth/token", data={"grant_type": "refresh_token"})
        assert (reply.status, reply.json["error"]) == (401, "invalid_client")
        unknown = await guest.call("POST", "/oauth/token", headers=BASIC, data={"grant_type": "password"})
        assert (unknown.status, unknown.json["error"]) == (400, "unsupported_grant_type")


async def test_the_eleventh_call_in_a_second_is_429_and_in_the_report_and_a_second_later_all_is_well():
    clock = FakeClock()
    async with visiting(quiet(clock, LimitOptions.profile("published"))) as guest:
        path = guest.registrants_of()
        assert [(await guest.get(path)).status for _ in range(10)] == [200] * 10
        await clock.advance(0.75)
        over = await guest.get(path)
        assert (over.status, over.headers["Retry-After"]) == (429, "1")
        await clock.advance(0.25)
        assert (await guest.get(path)).status == 200
        report = guest.sim.report()
        (breach,) = report.breaches
        assert (breach.seen, breach.operation) == (11, "getAllRegistrantsForWebinar")
        assert breach.wait == timedelta(seconds=0.25)
        assert report.calls == 12
        assert report.operations["getAllRegistrantsForWebinar"] == {"200": 11, "429": 1}
        assert report.operations["token"] == {"200": 1}
        assert report.peaks == {"10/1s per client": 11}


async def test_the_call_log_has_the_moment_of_every_arrival():
    clock = FakeClock()
    async with visiting(quiet(clock)) as guest:
        await guest.get(guest.registrants_of())
        await clock.advance(2.5)
        await guest.get(guest.registrants_of())
        calls = [call for call in guest.sim.calls if call.operation != "token"]
        assert [call.monotonic for call in calls] == [0.0, 2.5]
        assert {call.organizer_key for call in calls} == {guest.sim.world.organizers[0].organizer_key}
