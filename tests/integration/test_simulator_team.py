"""Around a webinar, over a real socket: helpers, audio, form, start address, copies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poller.simulator import Simulator, WorldOptions
from poller.testing import FakeClock
from tests.integration.simulator_guest import ALL_TIME, visiting

QUIET = WorldOptions(organizers=2, webinars=2, registrants=0, rate_per_minute=0, series_share=0, sequence_share=0)
TIMES = [{"startTime": f"2026-0{month}-01T10:00:00Z", "endTime": f"2026-0{month}-01T11:00:00Z"} for month in (6, 7)]


@pytest.fixture
async def guest():
    async with visiting(Simulator(QUIET, clock=FakeClock())) as visitor:
        yield visitor


def webinar_of(guest):
    owner = guest.sim.world.organizers[0].organizer_key
    return next(w.webinar_key for w in guest.sim.world.webinars() if w.organizer_key == owner)


def page_of(guest):
    return f"{guest.home}/webinars/{webinar_of(guest)}"


async def test_a_co_organizer_sees_the_webinar_until_taken_off_it_and_no_list_item_changes(guest):
    one, two = guest.sim.world.organizers
    path, key = f"{page_of(guest)}/coorganizers", webinar_of(guest)
    before = (await guest.listed())[key]
    made = await guest.call("POST", path, json=[{"external": False, "organizerKey": two.organizer_key}])
    assert (made.status, made.json[0]["email"], made.json[0]["external"]) == (201, two.email, False)
    await guest.log_in(two.pat)
    theirs = f"/G2W/rest/v2/organizers/{two.organizer_key}/webinars"
    assert (await guest.get(f"{theirs}/{key}")).status == 200
    await guest.log_in(one.pat)
    assert (await guest.listed())[key] == before
    assert guest.sim.world.truth.facts == ()
    assert (await guest.call("DELETE", f"{path}/{two.organizer_key}")).status == 204
    assert (await guest.get(path)).json == []
    await guest.log_in(two.pat)
    assert (await guest.get(f"{theirs}/{key}")).status == 404


async def test_an_external_co_organizer_is_addressed_as_external_and_has_no_surname(guest):
    path = f"{page_of(guest)}/coorganizers"
    (made,) = (
        await guest.call("POST", path, json=[{"external": True, "givenName": "Ida Berg", "email": "ida@example.com"}])
    ).json
    assert "surname" not in made
    one = f"{path}/{made['memberKey']}"
    for method, end in (("POST", "/resendInvitation"), ("DELETE", "")):
        assert (await guest.call(method, one + end)).status == 404
        assert (await guest.call(method, one + end, params={"external": "true"})).status == 204
    assert (await guest.get(path)).json == []


@pytest.mark.parametrize(
    "wanted",
    [
        [{"external": False, "organizerKey": "1"}],
        [{"external": False}],
        [{"external": True, "givenName": "Ida"}],
        [{"organizerKey": "1"}],
        {"external": True},
    ],
)
async def test_a_co_organizer_nobody_could_reach_is_refused_and_nobody_is_added(guest, wanted):
    path = f"{page_of(guest)}/coorganizers"
    sound = [{"external": True, "givenName": "Bo", "email": "bo@example.com"}]
    body = [*sound, *wanted] if isinstance(wanted, list) else wanted
    assert (await guest.call("POST", path, json=body)).status == 400
    assert (await guest.get(path)).json == []


async def test_panelists_come_and_go(guest):
    path = f"{page_of(guest)}/panelists"
    body = [{"name": "Ida Berg", "email": "ida@example.com"}, {"name": "Bo", "email": "bo@example.com"}]
    made = (await guest.call("POST", path, json=body)).json
    listed = (await guest.get(path)).json
    assert [str(one["panelistId"]) for one in listed] == [one["panelistKey"] for one in made]
    assert [(one["firstName"], one["lastName"]) for one in listed] == [("Ida", "Berg"), ("Bo", "")]
    gone = f"{path}/{made[0]['panelistKey']}"
    assert (await guest.call("POST", f"{gone}/resendInvitation")).status == 204
    assert (await guest.call("DELETE", gone)).status == 204
    assert (await guest.call("DELETE", gone)).status == 404
    assert (await guest.get(path)).json == listed[1:]
    assert (await guest.call("POST", path, json=[{"name": "No address"}])).status == 400


async def test_audio_is_as_it_was_set(guest):
    path = f"{page_of(guest)}/audio"
    assert (await guest.get(path)).json["type"] == "Hybrid"
    numbers = {"type": "PSTN", "pstnInfo": {"tollCountries": ["FR"], "tollFreeCountries": ["US"]}}
    assert (await guest.call("POST", path, json=numbers)).status == 204
    heard = (await guest.get(path)).json
    assert (heard["type"], set(heard["confCallNumbers"])) == ("PSTN", {"FR", "US"})
    assert "tollFree" in heard["confCallNumbers"]["US"]
    private = {"type": "Private", "privateInfo": {"attendee": "+49 30 1"}}
    assert (await guest.call("POST", path, json=private)).status == 204
    assert (await guest.get(path)).json == private
    for wrong in ({"type": "Drums"}, {"type": "Private"}, {"type": "PSTN", "pstnInfo": {}}):
        assert (await guest.call("POST", path, json=wrong)).status == 400
    assert (await guest.get(path)).json == private


async def test_answers_given_by_question_key_are_shown_in_words(guest):
    webinar = guest.sim.world.create_webinar(webinar_key="4255157664015486220")
    path = f"{guest.home}/webinars/{webinar.webinar_key}/registrants"
    form = (await guest.get(f"{path}/fields")).json
    assert {field["field"] for field in form["fields"] if field["required"]} == {"firstName", "lastName", "email"}
    choice, short = form["questions"]
    responses = [
        {"questionKey": choice["questionKey"], "answerKey": choice["answers"][1]["answerKey"]},
        {"questionKey": short["questionKey"], "responseText": "Ida"},
    ]
    person = {"firstName": "Bo", "lastName": "Lind", "email": "bo@example.com", "responses": responses}
    made = await guest.call("POST", path, json=person)
    detail = (await guest.get(f"{path}/{made.json['registrantKey']}")).json
    assert detail["responses"] == [
        {"question": choice["question"], "answer": choice["answers"][1]["answer"]},
        {"question": short["question"], "answer": "Ida"},
    ]


async def test_start_address_and_copy_are_for_hosts_and_the_administrator_only(guest):
    one, two = guest.sim.world.organizers
    base = f"/G2W/rest/v2/webinars/{webinar_of(guest)}"
    copy = {"times": TIMES[:1]}
    for person, status in ((one, 200), (two, 404), (guest.sim.world.admin, 200)):
        await guest.log_in(person.pat)
        assert (await guest.get(f"{base}/startUrl")).status == status
        assert (await guest.call("PUT", f"{base}/copy", json=copy)).status == (201 if status == 200 else 404)


async def test_a_copy_is_a_new_webinar_with_the_sources_words_and_its_own_times_and_keys(guest):
    source = (await guest.listed())[webinar_of(guest)]
    path = f"/G2W/rest/v2/webinars/{source['webinarKey']}/copy"
    made = (await guest.call("PUT", path, json={"times": TIMES, "type": "series"})).json
    listed = await guest.listed()
    new = [item for item in listed.values() if item["subject"] == source["subject"] and item != source]
    assert made["webinarKey"] in [item["webinarKey"] for item in new]
    assert [item["times"] for item in new] == [TIMES[:1], TIMES[1:]]
    assert [fact.kind for fact in guest.sim.world.truth.facts] == ["webinar.created"] * 2
    for wrong in ({"subject": "x"}, {"times": TIMES}, {"times": TIMES[:1], "type": "sequence"}):
        assert (await guest.call("PUT", path, json=wrong)).status == 400


async def test_meeting_times_are_those_of_the_list(guest):
    source = (await guest.listed())[webinar_of(guest)]
    assert (await guest.get(f"{page_of(guest)}/meetingtimes")).json == source["times"]


async def test_a_webinar_of_another_organizer_is_unknown_under_every_path():
    sim = Simulator(replace(QUIET, past_share=1.0), clock=FakeClock())
    async with visiting(sim) as guest:
        foreign = next(w for w in sim.world.webinars() if w.organizer_key == sim.world.organizers[1].organizer_key)
        page = f"{guest.home}/webinars/{foreign.webinar_key}"
        for end in ("coorganizers", "panelists", "audio", "meetingtimes", "performance", "registrants/fields"):
            assert (await guest.get(f"{page}/{end}", **ALL_TIME)).status == 404, end
