"""What is checked before a request is sent, and how the request looks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from poller.errors import UsageError
from poller.goto import Identity
from poller.goto.operations import OPERATIONS
from poller.goto.operations.preparing import Prepared, prepare

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
OWN = Identity("55", "77")
RANGE = {"fromTime": "2026-01-01T00:00:00Z", "toTime": "2026-02-01T00:00:00Z"}
SPAN = {"startTime": "2026-04-01T10:00:00Z", "endTime": "2026-04-01T11:00:00Z"}
LATER = {"startTime": "2026-04-08T10:00:00Z", "endTime": "2026-04-08T11:00:00Z"}
WEBINAR = {"subject": "Kites", "times": [SPAN], "timeZone": "Europe/Berlin"}
PERSON = {"firstName": "Bo", "lastName": "Lind", "email": "bo@example.com"}
MEETING = {
    "subject": "Review",
    "starttime": "2026-03-02T10:00:00Z",
    "endtime": "2026-03-02T11:00:00Z",
    "passwordrequired": False,
    "conferencecallinfo": "Hybrid",
    "meetingtype": "scheduled",
}
WEBHOOK = {"callbackUrl": "", "eventName": "webinar.created", "eventVersion": "1.0.0", "product": "g2w"}
RECURRENCE = {"recurrenceStart": SPAN, "recurrencePattern": "weekly", "recurrenceEnd": "2026-05-01"}


def prepared(
    name: str, body: object = None, *, own: Identity | None = OWN, notes: list[str] | None = None, **params: Any
) -> Prepared:
    note = notes.append if notes is not None else (lambda _: None)
    host = "https://api.example.com"
    return prepare(OPERATIONS[name], params, body, own=own, host=host, now=NOW, note=note)


def address(name: str, body: object = None, **params: Any) -> str:
    return str(prepared(name, body, **params).request.url)


def sent(name: str, body: object = None, **params: Any) -> Any:
    return msgspec.json.decode(prepared(name, body, **params).request.body or b"null")


def refused(name: str, body: object = None, **params: Any) -> str:
    with pytest.raises(UsageError) as caught:
        prepared(name, body, **params)
    return str(caught.value)


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_keys_left_out_are_the_connections_own() -> None:
    assert "/G2W/rest/v2/organizers/55/webinars?" in address("getWebinars", **RANGE)
    assert "/accounts/77/webinars?" in address("getAllAccountWebinars", **RANGE)
    assert "/organizers/56/webinars?" in address("getWebinars", organizerKey="56", **RANGE)
    assert address("getProfileMeeting").endswith("/meeting-room/v1/profiles?userKey=55")
    assert sent("searchAssets") == {"accountKey": "77"}


def test_an_account_that_nobody_knows_is_said_with_the_scope_that_tells_it() -> None:
    assert "identity:" in refused("getAllAccountWebinars", own=Identity("55"), **RANGE)


def test_cancelling_always_says_what_becomes_of_a_series_and_of_the_emails() -> None:
    assert address("cancelWebinar", webinarKey="4").endswith("?sendCancellationEmails=false&deleteAll=false")
    asked = address("cancelWebinar", webinarKey="4", deleteAll="true", sendCancellationEmails=True)
    assert asked.endswith("?sendCancellationEmails=true&deleteAll=true")


def test_times_travel_encoded_and_may_be_given_as_datetimes() -> None:
    berlin = datetime(2026, 3, 13, 11, 0, tzinfo=timezone(timedelta(hours=1)))
    asked = address("getWebinars", fromTime=berlin, toTime="2026-04-01T00:00:00.500Z")
    assert asked.endswith("?fromTime=2026-03-13T10%3A00%3A00Z&toTime=2026-04-01T00%3A00%3A00.500Z")


def test_a_list_in_a_query_is_separated_by_commas() -> None:
    assert address("searchAssets", includes="recordingShareUrl,webinarKey").endswith(
        "?includes=recordingShareUrl%2CwebinarKey"
    )


def test_a_key_that_is_no_number_stays_one_part_of_the_path() -> None:
    assert address("getWebhook", webhookKey="cdb516e0-85f8%ä").endswith("/webhooks/cdb516e0-85f8%25%C3%A4")


def test_webhooks_are_those_of_goto_webinar_without_being_asked() -> None:
    assert address("getWebhooks").endswith("/webhooks?product=g2w")


# ── parameters ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_missing_is_named_all_at_once_with_what_it_takes() -> None:
    said = refused("getWebinars")
    assert "fromTime (time" in said and "toTime" in said and "organizerKey" not in said


def test_an_unknown_parameter_is_refused_with_those_there_are() -> None:
    said = refused("getWebinar", webinarkey="4")
    assert "'webinarkey'" in said and "webinarKey" in said


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("getWebinar", {"webinarKey": "4a"}, ("webinarKey", "digits")),
        ("getWebinar", {"webinarKey": "٤"}, ("webinarKey", "digits")),
        ("getWebinar", {"webinarKey": ""}, ("webinarKey", "digits")),
        ("getWebinar", {"webinarKey": True}, ("webinarKey", "digits")),
        ("getWebhook", {"webhookKey": "../x"}, ("webhookKey", "key")),
        ("getWebhook", {"webhookKey": ".."}, ("webhookKey", "key")),
        ("getWebinars", {**RANGE, "size": "201"}, ("size", "from 1 to 200")),
        ("getWebinars", {**RANGE, "page": "-1"}, ("page", "number from 0")),
        ("getWebinars", {**RANGE, "page": "one"}, ("page", "whole number")),
        ("getWebinars", {**RANGE, "fromTime": "yesterday"}, ("fromTime", "2026-03-13T10:00:00Z")),
        ("getWebinars", {**RANGE, "fromTime": "2026-01-01"}, ("fromTime", "trailing Z")),
        ("getWebinars", {**RANGE, "fromTime": "2026-01-01T01:00:00+01:00"}, ("fromTime", "write 2026-01-01T00:00:00Z")),
        ("getWebinars", {**RANGE, "fromTime": "2026-13-01T00:00:00Z"}, ("fromTime", "no time")),
        ("getWebinars", {**RANGE, "fromTime": datetime(2026, 1, 1)}, ("fromTime", "without a zone")),  # noqa: DTZ001
        ("getWebinars", {**RANGE, "toTime": "2025-01-01T00:00:00Z"}, ("toTime lies before fromTime",)),
        ("cancelWebinar", {"webinarKey": "4", "deleteAll": "yes"}, ("deleteAll", "true or false")),
        ("getWebhooks", {"product": "g2m"}, ("product", "g2w")),
        ("searchAssets", {"includes": "secrets"}, ("includes[0]", "recordingShareUrl, webinarKey")),
        ("createRegistrant", {"webinarKey": "4", "Accept": "text/html", **PERSON}, ("Accept", "application/json")),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused_by_name(name: str, params: Any, words: tuple[str, ...]) -> None:
    said = refused(name, **params)
    assert all(word in said for word in words), said


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_registration_asks_for_the_form_that_keeps_all_fields() -> None:
    request = prepared("createRegistrant", {**PERSON, "organization": "Kite"}, webinarKey="4").request
    assert request.headers == {"Accept": "application/json", "Content-Type": "application/json"}
    assert msgspec.json.decode(request.body or b"") == {**PERSON, "organization": "Kite"}


def test_fields_of_a_body_may_be_given_as_parameters() -> None:
    assert sent("createRegistrant", {"organization": "Kite"}, webinarKey="4", **PERSON) == {
        **PERSON,
        "organization": "Kite",
    }
    assert sent("createUserSubscriptions", webhookKey="a-b") == [{"webhookKey": "a-b"}]
    assert "beside what is there" in refused("createUserSubscriptions", [{"webhookKey": "a"}], webhookKey="b")


def test_a_field_that_no_document_knows_is_sent_and_said() -> None:
    notes: list[str] = []
    assert sent("createRegistrant", {**PERSON, "petName": "Rex"}, webinarKey="4", notes=notes)["petName"] == "Rex"
    assert notes == ["body.petName is unknown to us; it is sent as it is"]


def test_choices_go_out_as_the_vendor_writes_them() -> None:
    assert sent("createWebinar", {**WEBINAR, "experienceType": "classic", "type": "Single_Session"}) == {
        **WEBINAR, "experienceType": "CLASSIC", "type": "single_session",
    }  # fmt: skip


def test_keys_that_are_numbers_on_the_wire_go_out_as_numbers() -> None:
    answers = [{"questionKey": "6820277626085326123", "answerKey": 7}]
    body = prepared("createRegistrant", {**PERSON, "responses": answers}, webinarKey="4").request.body
    assert b'"questionKey":6820277626085326123' in (body or b"")


@pytest.mark.parametrize("kind", [None, "single_session"])
def test_a_single_webinar_has_one_span(kind: str | None) -> None:
    more = {} if kind is None else {"type": kind}
    assert sent("createWebinar", {**WEBINAR, **more})["times"] == [SPAN]
    assert '"series"' in refused("createWebinar", {**WEBINAR, **more, "times": [SPAN, LATER]})


def test_a_series_has_two_spans_or_more() -> None:
    assert len(sent("createWebinar", {**WEBINAR, "type": "series", "times": [SPAN, LATER]})["times"]) == 2
    assert "two or more" in refused("createWebinar", {**WEBINAR, "type": "series"})


def test_a_sequence_has_a_recurrence_instead_of_times() -> None:
    sequence = {"subject": "Kites", "type": "sequence", "timeZone": "UTC", **RECURRENCE}
    assert sent("createWebinar", sequence)["recurrenceEnd"] == "2026-05-01"
    assert "instead of times" in refused("createWebinar", {**sequence, "times": [SPAN]})
    assert "recurrenceEnd" in refused("createWebinar", {k: v for k, v in sequence.items() if k != "recurrenceEnd"})
    assert "recurrenceEnd" in refused("createWebinar", {**sequence, "recurrenceEnd": "soon"})
    assert "daily, weekly, monthly" in refused("createWebinar", {**sequence, "recurrencePattern": "hourly"})


@pytest.mark.parametrize(
    ("name", "params"),
    [("createWebinar", {}), ("updateWebinar", {"webinarKey": "4"}), ("copyWebinar", {"webinarKey": "4"})],
)
def test_a_write_without_a_time_zone_warns(name: str, params: Any) -> None:
    notes: list[str] = []
    prepared(name, {"subject": "Kites", "times": [SPAN]}, notes=notes, **params)
    assert len(notes) == 1 and "timeZone" in notes[0]
    prepared(name, WEBINAR, notes=notes, **params)
    assert len(notes) == 1


def test_a_meeting_sends_the_deprecated_time_zone_empty() -> None:
    assert sent("createMeeting", MEETING) == {**MEETING, "timezonekey": ""}


@pytest.mark.parametrize(
    ("name", "params", "body", "words"),
    [
        ("createRegistrant", {"webinarKey": "4"}, {"firstName": "Bo"}, ("body lacks lastName, email",)),
        ("createRegistrant", {"webinarKey": "4"}, {**PERSON, "lastName": ""}, ("body lacks lastName",)),
        ("createRegistrant", {"webinarKey": "4"}, {**PERSON, "email": "bo"}, ("body.email", "e-mail")),
        ("createRegistrant", {"webinarKey": "4"}, {**PERSON, "city": "x" * 129}, ("body.city", "129", "128")),
        ("createRegistrant", {"webinarKey": "4"}, {**PERSON, "city": 7}, ("body.city", "a text, not a number")),
        ("createRegistrant", {"webinarKey": "4"}, [PERSON], ("body must be an object", "a list")),
        (
            "createRegistrant",
            {"webinarKey": "4"},
            {**PERSON, "responses": [{"responseText": "x"}]},
            ("body.responses[0] lacks questionKey",),
        ),
        ("createWebinar", {}, {**WEBINAR, "subject": "x" * 129}, ("body.subject", "128")),
        ("createWebinar", {}, {**WEBINAR, "description": "x" * 2049}, ("body.description", "2048")),
        ("createWebinar", {}, {**WEBINAR, "timeZone": "europe/berlin"}, ("body.timeZone", "Europe/Berlin")),
        ("createWebinar", {}, {**WEBINAR, "timeZone": "CEST!"}, ("body.timeZone", "IANA")),
        ("createWebinar", {}, {**WEBINAR, "locale": "xx"}, ("body.locale", "en_US")),
        ("createWebinar", {}, {**WEBINAR, "isOndemand": "maybe"}, ("body.isOndemand", "true or false")),
        ("createWebinar", {}, {**WEBINAR, "times": [{**SPAN, "endTime": SPAN["startTime"]}]}, ("times[0]", "after")),
        ("createWebinar", {}, {**WEBINAR, "times": SPAN}, ("body.times", "a list, not an object")),
        ("createWebinar", {}, {**WEBINAR, "times": [{"startTime": SPAN["startTime"]}]}, ("times[0] lacks endTime",)),
        ("createWebinar", {}, {"subject": "Kites"}, ("0 spans",)),
        ("updateWebinar", {"webinarKey": "4"}, {}, ("changes nothing",)),
        ("updateWebinar", {"webinarKey": "4"}, {"times": []}, ("at least one span",)),
        ("copyWebinar", {"webinarKey": "4"}, {"type": "series", "times": [SPAN]}, ("two or more",)),
        ("createCoorganizers", {"webinarKey": "4"}, [{"external": True, "email": "a@b.c"}], ("body[0]", "givenName")),
        ("createCoorganizers", {"webinarKey": "4"}, [{"external": False}], ("body[0]", "organizerKey")),
        ("createCoorganizers", {"webinarKey": "4"}, [], ("empty",)),
        ("createPanelists", {"webinarKey": "4"}, [], ("empty",)),
        ("createPanelists", {"webinarKey": "4"}, [{"email": "a@b.c"}], ("body[0] lacks name",)),
        ("updateAudioInformation", {"webinarKey": "4"}, {"type": "Radio"}, ("body.type", "PSTN")),
        (
            "updateAudioInformation",
            {"webinarKey": "4"},
            {"type": "PSTN", "pstnInfo": {"tollCountries": ["XX"]}},
            ("body.pstnInfo.tollCountries[0]",),
        ),
        (
            "createWebhooks",
            {},
            [{**WEBHOOK, "callbackUrl": "http://a.example"}],
            ("body[0].callbackUrl", "https://"),
        ),
        ("deleteWebhooks", {}, [""], ("body[0]", "empty")),
        ("getWebinar", {"webinarKey": "4"}, {"a": 1}, ("takes no body",)),
        ("createMeeting", {}, {**MEETING, "subject": "a < b"}, ("body.subject", "&lt;")),
        ("createMeeting", {}, {**MEETING, "subject": "x" * 101}, ("body.subject", "100")),
        ("createMeeting", {}, {**MEETING, "conferencecallinfo": "x" * 256}, ("body.conferencecallinfo", "255")),
        ("createMeeting", {}, {**MEETING, "starttime": "2026-03-01T08:59:59Z"}, ("starttime", "future")),
        ("createMeeting", {}, {**MEETING, "endtime": "2026-03-02T09:00:00Z"}, ("endtime", "after")),
        ("createMeeting", {}, {**MEETING, "coorganizerKeys": ["x"]}, ("body.coorganizerKeys[0]", "digits")),
        ("updateMeeting", {"meetingId": "4"}, {"subject": "x"}, ("body lacks starttime",)),
    ],
)  # fmt: skip
def test_a_body_that_makes_no_sense_is_refused_by_the_place_in_it(
    name: str, params: Any, body: Any, words: tuple[str, ...]
) -> None:
    said = refused(name, body, **params)
    assert all(word in said for word in words), said
