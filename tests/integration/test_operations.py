"""Operations of GoTo over real HTTP: each reaches its address, results are what was said, no change happens twice."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

from poller.errors import Malformed, NotFound, OutcomeUnknown, PermissionRefused, Refused, UsageError, Wait
from poller.goto.operations import OPERATIONS, Operations
from tests.integration.recording_goto import CUT, RecordingGoto, client_of, operating, recording

BIG = 6820277626085326123
RANGE = {"fromTime": "2026-01-01T00:00:00Z", "toTime": "2026-02-01T00:00:00Z"}
DATES = {"startDate": "2026-01-01T00:00:00Z", "endDate": "2026-02-01T00:00:00Z"}
SPAN = {"startTime": "2096-04-01T10:00:00Z", "endTime": "2096-04-01T11:00:00Z"}
WEBINAR = {"subject": "Kites", "times": [SPAN], "timeZone": "Europe/Berlin"}
PERSON = {"firstName": "Bo", "lastName": "Lind", "email": "bo@example.com"}
MEETING = {
    "subject": "Review",
    "starttime": SPAN["startTime"],
    "endtime": SPAN["endTime"],
    "passwordrequired": False,
    "conferencecallinfo": "Hybrid",
    "meetingtype": "scheduled",
}
WEBHOOK = {
    "callbackUrl": "https://a.example",
    "eventName": "webinar.created",
    "eventVersion": "1.0.0",
    "product": "g2w",
}
BODIES: dict[str, Any] = {
    "createWebinar": WEBINAR,
    "updateWebinar": WEBINAR,
    "copyWebinar": WEBINAR,
    "updateAudioInformation": {"type": "VOIP"},
    "searchAssets": {"accountKey": "77"},
    "searchAssetsForAdmin": {"organizerKey": "55"},
    "createRegistrant": PERSON,
    "createCoorganizers": [{"external": False, "organizerKey": "56"}],
    "createPanelists": [{"email": "bo@example.com", "name": "Bo"}],
    "createSecretKey": {},
    "createWebhooks": [WEBHOOK],
    "updateWebhooks": [{"webhookKey": "w", "state": "ACTIVE"}],
    "deleteWebhooks": ["w"],
    "createUserSubscriptions": [{"webhookKey": "w"}],
    "updateUserSubscriptions": [{"webhookKey": "w", "userSubscriptionKey": "u"}],
    "deleteUserSubscriptions": ["u"],
    "createMeeting": MEETING,
    "updateMeeting": MEETING,
}
PLACES = {
    "webinarKey": "11", "sessionKey": "12", "registrantKey": "13", "coorganizerKey": "14", "panelistKey": "15",
    "webhookKey": "w", "userSubscriptionsKey": "u", "meetingId": "16", "sessionId": "17", "groupKey": "18",
}  # fmt: skip


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
async def pair(notes: list[str]) -> AsyncIterator[tuple[RecordingGoto, Operations]]:
    async with operating(notes.append) as made:
        yield made


@pytest.fixture
def goto(pair: tuple[RecordingGoto, Operations]) -> RecordingGoto:
    return pair[0]


@pytest.fixture
def operations(pair: tuple[RecordingGoto, Operations]) -> Operations:
    return pair[1]


# ── each of them ─────────────────────────────────────────────────────────────────────────────────────────────────────

HOME = "/G2W/rest/v2/organizers/55"


@pytest.mark.parametrize("name", OPERATIONS)
async def test_each_method_reaches_the_address_of_its_operation(
    name: str, goto: RecordingGoto, operations: Operations
) -> None:
    operation = OPERATIONS[name]
    goto.say([] if str(operation.answer).startswith("list[") else {})
    given = {**PLACES, **RANGE, **DATES}
    arguments = {snake(p.name): given[p.name] for p in operation.parameters if p.name in given and (p.required)}
    if operation.body is not None:
        arguments["body"] = BODIES[name]

    await getattr(operations, operation.python_name)(**arguments)

    places = {"organizerKey": "55", "accountKey": "77", **PLACES}
    (asked,) = goto.asked
    assert asked.line == f"{operation.method} {operation.whole_path.format(**places)}"
    assert asked.headers["Authorization"] == "Bearer A0" and asked.headers["Accept"] == "application/json"
    if operation.body is not None:
        sent = {"timezonekey": ""} if operation.product == "meeting" else {}
        assert asked.json == (BODIES[name] if isinstance(BODIES[name], list) else {**BODIES[name], **sent})
    else:
        assert asked.body == b""


def snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


# The rows of the two connectors' tables: what a flow asks for → what GoTo is asked, and what comes back.
ROWS: list[tuple[str, dict[str, Any], Any, str, Any]] = [
    ("cancel_webinar", {"webinar_key": 11}, (204, b""), f"DELETE {HOME}/webinars/11", None),
    (
        "create_registrant",
        {"webinar_key": "11", "body": PERSON},
        (201, {"registrantKey": BIG, "joinUrl": "https://j", "status": "APPROVED"}),
        f"POST {HOME}/webinars/11/registrants",
        {"registrantKey": str(BIG), "joinUrl": "https://j", "status": "APPROVED"},
    ),
    (
        "create_webinar",
        {"body": WEBINAR},
        (201, {"webinarKey": BIG}),
        f"POST {HOME}/webinars",
        {"webinarKey": str(BIG)},
    ),
    (
        "create_webinar",
        {"body": {**WEBINAR, "type": "series", "times": [SPAN, SPAN]}},
        (201, {"webinarKey": "1", "recurrenceKey": "2"}),
        f"POST {HOME}/webinars",
        {"webinarKey": "1", "recurrenceKey": "2"},
    ),
    (
        "create_webinar",
        {
            "body": {
                "subject": "Kites",
                "timeZone": "UTC",
                "type": "sequence",
                "recurrenceStart": SPAN,
                "recurrencePattern": "daily",
                "recurrenceEnd": "2096-05-01",
            }
        },
        (201, {"webinarKey": "1"}),
        f"POST {HOME}/webinars",
        {"webinarKey": "1"},
    ),
    ("update_webinar", {"webinar_key": "11", "body": WEBINAR}, (202, b""), f"PUT {HOME}/webinars/11", None),
    (
        "delete_registrant",
        {"webinar_key": "11", "registrant_key": BIG},
        (204, b""),
        f"DELETE {HOME}/webinars/11/registrants/{BIG}",
        None,
    ),
    (
        "get_attendee",
        {"webinar_key": "11", "session_key": "12", "registrant_key": BIG},
        {"registrantKey": BIG},
        f"GET {HOME}/webinars/11/sessions/12/attendees/{BIG}",
        {"registrantKey": str(BIG)},
    ),
    (
        "get_registrant",
        {"webinar_key": "11", "registrant_key": "13"},
        {"registrantKey": BIG, "organization": None},
        f"GET {HOME}/webinars/11/registrants/13",
        {"registrantKey": str(BIG), "organization": None},
    ),
    (
        "get_webinars",
        {"from_time": RANGE["fromTime"], "to_time": RANGE["toTime"]},
        {"_embedded": {"webinars": [{"webinarKey": BIG}]}, "page": {"totalElements": 1}},
        f"GET {HOME}/webinars",
        {"_embedded": {"webinars": [{"webinarKey": str(BIG)}]}, "page": {"totalElements": 1}},
    ),
    (
        "get_attendees_for_all_webinar_sessions",
        {"webinar_key": "11"},
        {"_embedded": {"attendeeParticipationResponses": [{"registrantKey": BIG}]}, "page": {"totalElements": 1}},
        f"GET {HOME}/webinars/11/attendees",
        {"_embedded": {"attendeeParticipationResponses": [{"registrantKey": str(BIG)}]}, "page": {"totalElements": 1}},
    ),
    (
        "get_all_registrants_for_webinar",
        {"webinar_key": "11"},
        [{"registrantKey": BIG}],
        f"GET {HOME}/webinars/11/registrants",
        [{"registrantKey": str(BIG)}],
    ),
    (
        "get_attendees",
        {"webinar_key": "11", "session_key": "12"},
        [{"registrantKey": BIG, "sessionKey": 12}],
        f"GET {HOME}/webinars/11/sessions/12/attendees",
        [{"registrantKey": str(BIG), "sessionKey": "12"}],
    ),
    (
        "create_user_subscriptions",
        {"body": [{"webhookKey": "w"}]},
        {"_embedded": {"userSubscriptions": [{"userSubscriptionKey": "u"}]}},
        "POST /G2W/rest/v2/userSubscriptions",
        {"_embedded": {"userSubscriptions": [{"userSubscriptionKey": "u"}]}},
    ),
    (
        "get_user_subscription",
        {"user_subscriptions_key": "u"},
        {"userSubscriptionKey": "u"},
        "GET /G2W/rest/v2/userSubscriptions/u",
        {"userSubscriptionKey": "u"},
    ),
    ("get_user_subscriptions", {}, {"_embedded": {}}, "GET /G2W/rest/v2/userSubscriptions", {"_embedded": {}}),
    (
        "update_user_subscriptions",
        {"body": [{"webhookKey": "w", "userSubscriptionKey": "u", "userSubscriptionState": "INACTIVE"}]},
        (204, b""),
        "PUT /G2W/rest/v2/userSubscriptions",
        None,
    ),
    ("delete_user_subscriptions", {"body": ["u"]}, (202, b""), "DELETE /G2W/rest/v2/userSubscriptions", None),
    (
        "get_webinar",
        {"webinar_key": BIG},
        {"webinarKey": BIG, "numberOfRegistrants": 2},
        f"GET {HOME}/webinars/{BIG}",
        {"webinarKey": str(BIG), "numberOfRegistrants": 2},
    ),
]


@pytest.mark.parametrize(("method", "arguments", "answer", "line", "result"), ROWS)
async def test_a_row_of_the_connectors_tables(
    method: str, arguments: Any, answer: Any, line: str, result: Any, goto: RecordingGoto, operations: Operations
) -> None:
    goto.say(answer)
    assert await getattr(operations, method)(**arguments) == result
    assert goto.lines == [line]


# ── whose keys ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_client_alone_asks_once_whose_keys_stand_in() -> None:
    async with recording() as goto, client_of(goto.url) as client:
        goto.say({"webinarKey": 1})
        for _ in range(2):
            await client.operations.get_webinar("11")
        await client.operations.get_webinar("11", organizer_key="56")
    assert goto.lines == [f"GET {HOME}/webinars/11"] * 2 + ["GET /G2W/rest/v2/organizers/56/webinars/11"]


async def test_a_write_without_a_time_zone_is_a_python_warning_to_programs() -> None:
    async with recording() as goto, client_of(goto.url) as client:
        goto.say({"webinarKey": 1})
        with pytest.warns(UserWarning, match="timeZone"):
            await client.operations.create_webinar({"subject": "Kites", "times": [SPAN]})
        with warnings.catch_warnings():
            await client.operations.create_webinar(WEBINAR)  # type: ignore[arg-type]


# ── what was asked is what is sent ───────────────────────────────────────────────────────────────────────────────────


async def test_a_change_without_times_sends_those_there_are_and_the_time_zone(
    goto: RecordingGoto, operations: Operations, notes: list[str]
) -> None:
    goto.say({"webinarKey": 11, "times": [SPAN], "timeZone": "Asia/Tokyo"}, (202, b""))
    await operations.update_webinar("11", {"subject": "New"}, notify_participants=True)
    assert [asked.method for asked in goto.asked] == ["GET", "PUT"]
    assert goto.asked[1].json == {"subject": "New", "times": [SPAN], "timeZone": "Asia/Tokyo"}
    assert goto.asked[1].query == {"notifyParticipants": "true"}
    assert len(notes) == 1 and "Asia/Tokyo" in notes[0]


async def test_a_change_without_times_of_a_webinar_without_times_asks_for_them(
    goto: RecordingGoto, operations: Operations
) -> None:
    goto.say({"webinarKey": 11, "times": []})
    with pytest.raises(UsageError, match="give times"):
        await operations.update_webinar("11", {"subject": "New"})
    assert [asked.method for asked in goto.asked] == ["GET"]


async def test_what_is_refused_never_leaves_the_machine(goto: RecordingGoto, operations: Operations) -> None:
    with pytest.raises(UsageError):
        await operations.update_webinar("11", {})
    with pytest.raises(UsageError):
        await operations.create_registrant("x", PERSON)  # type: ignore[arg-type]
    assert goto.asked == []


# ── answers that are none, and changes nobody can be sure of ─────────────────────────────────────────────────────────


@pytest.mark.parametrize("answer", [CUT, (500, b""), (503, b"<html>"), (408, b""), (201, b"<html>")])
async def test_a_change_without_a_clear_answer_is_not_made_again_and_says_where_to_look(
    answer: Any, goto: RecordingGoto, operations: Operations
) -> None:
    goto.say(answer)
    with pytest.raises(OutcomeUnknown, match="getAllRegistrantsForWebinar"):
        await operations.create_registrant("11", PERSON)  # type: ignore[arg-type]
    assert len(goto.asked) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((429, b""), Wait),
        ((400, {"errorCode": "x", "description": "No."}), Refused),
        ((403, {"errorCode": "x"}), PermissionRefused),
        ((404, {"errorCode": "NotFound", "description": "no webinar"}), NotFound),
    ],
)
async def test_a_change_that_was_refused_is_said_to_be_so(
    answer: Any, error: type[Exception], goto: RecordingGoto, operations: Operations
) -> None:
    goto.say(answer)
    with pytest.raises(error):
        await operations.delete_registrant("11", "13")
    assert len(goto.asked) == 1


async def test_a_change_that_never_left_may_be_repeated(unused_tcp_port: int) -> None:
    async with client_of(f"http://127.0.0.1:{unused_tcp_port}") as client:
        with pytest.raises(Wait):
            await Operations(client).delete_registrant("11", "13", organizer_key="55")


@pytest.mark.parametrize(("answer", "error"), [(CUT, Wait), ((500, b""), Wait), (b"<html>", Malformed)])
async def test_reading_without_an_answer_is_only_a_matter_of_time(
    answer: Any, error: type[Exception], goto: RecordingGoto, operations: Operations
) -> None:
    goto.say(answer)
    with pytest.raises(error):
        await operations.get_webinar("11")


async def test_a_refused_token_is_renewed_and_the_change_made_once_more(
    goto: RecordingGoto, operations: Operations
) -> None:
    goto.say((403, {"int_err_code": "InvalidToken"}), (204, b""))
    await operations.delete_registrant("11", "13")
    assert [asked.headers["Authorization"] for asked in goto.asked] == ["Bearer A0", "Bearer A1"]


# ── who is registered already ────────────────────────────────────────────────────────────────────────────────────────


async def test_whom_goto_knows_already_is_returned_from_its_refusal(
    goto: RecordingGoto, operations: Operations, notes: list[str]
) -> None:
    goto.say((409, {"errorCode": "X", "description": "registered", "registrantKey": BIG, "joinUrl": "https://j"}))
    found = await operations.create_registrant("11", PERSON)  # type: ignore[arg-type]
    assert found == {"registrantKey": str(BIG), "joinUrl": "https://j"}
    assert "already" in notes[0] and "@" not in notes[0]


async def test_whom_goto_knows_already_is_looked_up_where_it_says_no_more(
    goto: RecordingGoto, operations: Operations
) -> None:
    listed = [{"registrantKey": 1, "email": "a@example.com"}, {"registrantKey": BIG, "email": "BO@example.com"}]
    goto.say((409, b""), listed)
    found = await operations.create_registrant("11", PERSON)  # type: ignore[arg-type]
    assert found["registrantKey"] == str(BIG)

    goto.say((409, b""), [])
    with pytest.raises(Refused):
        await operations.create_registrant("11", PERSON)  # type: ignore[arg-type]


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def hal(name: str, items: list[Any], total: int, pages: int) -> dict[str, Any]:
    return {"_embedded": {name: items}, "page": {"totalElements": total, "totalPages": pages}}


async def test_a_stream_walks_all_pages_and_yields_no_item_twice(goto: RecordingGoto, operations: Operations) -> None:
    first, second = {"sessionKey": 1, "webinarKey": 11}, {"sessionKey": 2, "webinarKey": 11}
    third = {"sessionKey": 1, "webinarKey": 12}
    goto.say(hal("sessionInfoResources", [first, second], 3, 2), hal("sessionInfoResources", [second, third], 3, 2))
    stream = operations.stream_get_organizer_sessions(from_time=RANGE["fromTime"], to_time=RANGE["toTime"])
    assert [(item["sessionKey"], item["webinarKey"]) async for item in stream] == [
        ("1", "11"),
        ("2", "11"),
        ("1", "12"),
    ]
    assert [(asked.query["page"], asked.query["size"]) for asked in goto.asked] == [("0", "200"), ("1", "200")]


async def test_a_stream_gives_its_first_items_before_it_asks_for_more(
    goto: RecordingGoto, operations: Operations
) -> None:
    goto.say({"data": [{"registrantKey": 1}], "total": 2}, {"data": [{"registrantKey": 2}], "total": 2})
    stream = operations.stream_get_all_registrants_for_webinar("11")
    assert (await anext(stream))["registrantKey"] == "1"
    assert len(goto.asked) == 1 and goto.asked[0].query == {"page": "0", "limit": "200"}
    assert [item["registrantKey"] async for item in stream] == ["2"]


async def test_a_list_that_moves_is_walked_again_without_repeating_itself(
    goto: RecordingGoto, operations: Operations
) -> None:
    goto.say(
        {"data": [{"registrantKey": 1}], "total": 2},
        {"data": [{"registrantKey": 3}], "total": 3},
        {"data": [{"registrantKey": 1}, {"registrantKey": 2}], "total": 3},
        {"data": [{"registrantKey": 3}], "total": 3},
    )
    stream = operations.stream_get_all_registrants_for_webinar("11")
    assert sorted([item["registrantKey"] async for item in stream]) == ["1", "2", "3"]


async def test_a_list_that_breaks_its_promise_is_not_passed_off_as_whole(
    goto: RecordingGoto, operations: Operations
) -> None:
    goto.say({"data": [{"registrantKey": 1}], "total": 3}, {"data": [], "total": 3})
    seen = []
    with pytest.raises(Malformed, match="promises"):
        async for item in operations.stream_get_all_registrants_for_webinar("11"):
            seen.append(item["registrantKey"])
    assert seen == ["1"]


async def test_the_history_of_a_meeting_is_counted_by_items(goto: RecordingGoto, operations: Operations) -> None:
    def answer(asked: Any) -> Any:
        first, most = int(asked.query["firstResult"]), int(asked.query["maxResults"])
        return [{"meetingId": "16", "sessionId": str(n)} for n in range(5)][first : first + most]

    goto.say(answer)
    pages = [
        page
        async for page in operations.pages("getHistoricalMeetingsByMeetingId", {"meetingId": "16", "maxResults": 2})
    ]
    assert [item["sessionId"] for page in pages for item in page] == ["0", "1", "2", "3", "4"]
    assert [asked.query["firstResult"] for asked in goto.asked] == ["0", "2", "4"]


async def test_a_list_that_comes_whole_is_one_page(goto: RecordingGoto, operations: Operations) -> None:
    goto.say([{"meetingId": 16}])
    assert [page async for page in operations.pages("getUpcomingMeetings")] == [[{"meetingId": "16"}]]
    goto.say({"webinarKey": 11})
    with pytest.raises(UsageError, match="no list"):
        await anext(operations.pages("getWebinar", {"webinarKey": "11"}))
    with pytest.raises(UsageError, match="maxResults"):
        await anext(operations.pages("getHistoricalMeetingsByMeetingId", {"meetingId": "16", "maxResults": "all"}))
    with pytest.raises(UsageError, match="leave it out"):
        await anext(operations.pages("getAllSessions", {"webinarKey": "11", "page": 1}))
