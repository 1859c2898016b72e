"""A valid example of every event there is, described by the same sources and drafts as real ones. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, cast

from poller import drafting
from poller.errors import Refused
from poller.goto import GotoClient
from poller.ports import Outgoing, Sink, Source
from poller.sources import (
    MeetingAttendeeSource,
    MeetingSessionSource,
    MeetingSource,
    MeetingStartSource,
    ParticipantSource,
    Readers,
    RegistrantSource,
    SessionSource,
    WebinarSource,
    WebinarStartSource,
)
from poller.sources.meeting_sessions import as_recording
from poller.sources.meeting_shapes import normal_meeting
from poller.sources.participants import absence, normal_attendee
from poller.sources.sessions import normal_session
from poller.sources.shapes import encode, normal_registrant
from poller.sources.webinar_starts import normal_running
from poller.sources.webinars import normal_webinar
from state.events import Draft, envelope
from state.records import RecordRow, Scope, Target

ORGANIZER: Final = "5511973216410820613"
WEBINAR: Final = "4255157664015486220"
REGISTRANT: Final = "6820277626085326123"
SESSION: Final = "15887209"
MEETING: Final = "417382905"
CONNECTION: Final = "acme"
SEQUENCE: Final = 42
SEEN: Final = datetime(2026, 3, 1, 9, 16, 40, 123000, tzinfo=UTC)

# As GoTo's lists show them.
_WEBINAR: Final[Mapping[str, Any]] = {
    "webinarKey": WEBINAR,
    "webinarID": "123456789",
    "organizerKey": ORGANIZER,
    "accountKey": "4123456789012345678",
    "subject": "Product tour",
    "description": "What is new this spring",
    "times": [{"startTime": "2026-03-10T14:00:00Z", "endTime": "2026-03-10T15:00:00Z"}],
    "timeZone": "Europe/Berlin",
    "locale": "en_US",
    "status": "NEW",
    "approvalType": "AUTOMATIC",
    "registrationUrl": f"https://attendee.gotowebinar.com/register/{WEBINAR}",
    "impromptu": False,
    "isPasswordProtected": False,
    "recurrenceType": "single_session",
    "experienceType": "classic",
}
_REGISTRANT: Final[Mapping[str, Any]] = {
    "registrantKey": int(REGISTRANT),
    "firstName": "Ada",
    "lastName": "Example",
    "email": "ada@example.com",
    "status": "APPROVED",
    "registrationDate": "2026-03-01T09:15:42Z",
    "timeZone": "Europe/Berlin",
    "joinUrl": f"https://global.gotowebinar.com/join/{WEBINAR}/123456789",
}

_SESSION: Final[Mapping[str, Any]] = {
    "sessionKey": SESSION,
    "webinarKey": WEBINAR,
    "webinarName": "Product tour",
    "startTime": "2026-02-24T14:00:11Z",
    "endTime": "2026-02-24T15:02:40Z",
    "registrantsAttended": 1,
    "registrantCount": 2,
    "timeZone": "Europe/Berlin",
    "experienceType": "classic",
    "webinarID": "123456789",
}
_ATTENDEE: Final[Mapping[str, Any]] = {
    "registrantKey": int(REGISTRANT),
    "sessionKey": int(SESSION),
    "firstName": "Ada",
    "lastName": "Example",
    "email": "ada@example.com",
    "attendanceTimeInSeconds": 3409,
    "attendance": [{"joinTime": "2026-02-24T14:01:02Z", "leaveTime": "2026-02-24T14:57:51Z"}],
}
_MEETING: Final[Mapping[str, Any]] = {
    "meetingId": MEETING,
    "meetingType": "scheduled",
    "subject": "Weekly review",
    "startTime": "2026-03-03T17:00:00.+0000",
    "endTime": "2026-03-03T18:00:00.+0000",
    "status": "INACTIVE",
    "organizerKey": ORGANIZER,
    "accountKey": "4123456789012345678",
    "firstName": "Grace",
    "lastName": "Example",
    "email": "grace@example.com",
    "locale": "en_US",
    "passwordRequired": "false",
    "conferenceCallInfo": "Hybrid",
    "joinURL": f"https://meet.goto.com/{MEETING}",
}
_HELD: Final[Mapping[str, Any]] = {
    **{name: _MEETING[name] for name in ("meetingId", "meetingType", "subject", "organizerKey", "accountKey")},
    **{name: _MEETING[name] for name in ("firstName", "lastName", "email", "locale", "conferenceCallInfo")},
    "sessionId": "88214407",
    "startTime": "2026-02-24T17:00:04.+0000",
    "endTime": "2026-02-24T17:52:31.+0000",
    "duration": "52",
    "numAttendees": "7",
}
_RECORDING: Final[Mapping[str, Any]] = {
    "recordingId": "b1a7",
    "recordingName": "Weekly review",
    "downloadUrl": "https://example.com/recordings/b1a7/download",
    "shareUrl": "https://example.com/recordings/b1a7",
    "transcriptUrl": "https://example.com/recordings/b1a7/transcript",
    "aiSummaryUrl": "https://example.com/recordings/b1a7/summary",
    "fileSize": 1048576,
}
_PRESENT: Final[Mapping[str, Any]] = {
    "meetingId": int(MEETING),
    "meetingInstanceKey": 91550021,
    "organizerkey": int(ORGANIZER),
    "subject": "Weekly review",
    "attendeeName": "Ada Example",
    "attendeeEmail": "ada@example.com",
    "joinTime": "2026-02-24T17:01:10",
    "leaveTime": "2026-02-24T17:50:02",
    "startTime": "2026-02-24T17:00:04",
    "endTime": "2026-02-24T17:52:31",
    "firstName": "Grace",
    "lastName": "Example",
    "email": "grace@example.com",
}

# What changed in the examples of `….changed`: how the object was before.
_BEFORE: Final[Mapping[str, Mapping[str, Any]]] = {
    "webinar": {"subject": "Product tour (draft)"},
    "registrant": {"status": "WAITING"},
    "meeting": {"subject": "Review"},
}

_OPERATIONAL: Final[Mapping[str, tuple[str, str, dict[str, object]]]] = {
    "poller.connection.unauthorized": (
        f"connections/{CONNECTION}",
        CONNECTION,
        {"connection": CONNECTION, "reason": "the refresh token is refused (invalid_grant)"},
    ),
    "poller.connection.recovered": (f"connections/{CONNECTION}", CONNECTION, {}),
    "poller.trigger.stalled": (
        "triggers/signups",
        "",
        {"trigger": "signups", "connections": [CONNECTION], "seconds": 930},
    ),
    "poller.trigger.recovered": ("triggers/signups", "", {"trigger": "signups"}),
    "poller.sink.disabled": ("sinks/crm", "", {"sink": "crm", "reason": "example.com answered 410"}),
    "poller.sink.recovered": ("sinks/crm", "", {"sink": "crm", "failures": 3}),
}


# What GoTo's webhooks tell and no poll can see.
_UNSEEN: Final[Mapping[str, Mapping[str, object]]] = {
    "webhook.registrant.joined": {
        "firstName": "Ada",
        "lastName": "Example",
        "email": "ada@example.com",
        "joinTime": 1773151262000,
    },
    "webhook.survey.submitted": {
        "surveyName": "Feedback",
        "responses": [{"questionText": "How was it?", "questionType": "RATING", "answerText": ["5"]}],
    },
}


def types() -> list[str]:
    """The short types there is a sample of: those that this version emits."""
    return [*_FACTS, *_OPERATIONAL, *_UNSEEN]


def sample(short_type: str) -> Outgoing:
    """An example event, as a sink gets it. Raises KeyError for a type that `types` does not name."""
    make = _FACTS.get(short_type) or partial(_told if short_type in _UNSEEN else _operational, short_type)
    draft = make()
    body = envelope(draft, SEQUENCE)
    return Outgoing(SEQUENCE, draft.id, draft.type, draft.subject, draft.partition, body)


def _operational(type_: str) -> Draft:
    subject, connection, data = _OPERATIONAL[type_]
    return drafting.operational(type_, subject, connection=connection, at=SEEN, data=data)


def _told(type_: str) -> Draft:
    about: dict[str, object] = {
        "webinarKey": WEBINAR,
        "webinarTitle": _WEBINAR["subject"],
        "webinarCreatorKey": ORGANIZER,
        "experienceType": "CLASSIC",
        "recurrenceType": "single_session",
        "sessionKey": SESSION,
        "registrantKey": REGISTRANT,
    }
    key = "74d38461-9db8-4e41-8f59-d99f00b82411"
    return drafting.webhook(type_, {**about, **_UNSEEN[type_]}, key, connection=CONNECTION, at=SEEN, now=SEEN)


def misfits(sink: Sink, sends: Callable[[str, str], bool]) -> list[str]:
    """What `sink` could not make a message of, among the examples of the events that are sent to it: in words."""
    preview = getattr(sink, "preview", None)  # sinks of others need not have one
    if preview is None:
        return []
    found = []
    for type_ in types():
        try:
            if sends(type_, sink.name):
                preview(sample(type_))
        except Refused as error:
            found.append(f"the example of {type_} cannot be sent: {error}")
    return found


# Describing a record costs no call, so the sources get by without a client here.
_NO_CLIENT: Final = cast(GotoClient, None)
_READERS: Final = Readers(_NO_CLIENT, account=False, organizer_key=ORGANIZER, now=lambda: SEEN)
_SOURCES: Final[Mapping[str, Source]] = {
    source.kind: source
    for source in (
        WebinarSource(_NO_CLIENT, organizer_key=ORGANIZER),
        RegistrantSource(_NO_CLIENT, page_above=0),
        SessionSource(_NO_CLIENT),
        ParticipantSource(_NO_CLIENT, now=lambda: SEEN, settle=timedelta(days=1)),
        MeetingSource(_NO_CLIENT, _READERS),
        MeetingSessionSource(_NO_CLIENT, _READERS),
        MeetingAttendeeSource(_NO_CLIENT),
        WebinarStartSource(_NO_CLIENT, _READERS),
        MeetingStartSource(_NO_CLIENT, _READERS),
    )
}


def _target(kind: str, parent: str, title: str) -> Target:
    return Target(CONNECTION, Scope(kind, parent), organizer_key=ORGANIZER, title=title, ends_at=_ENDED)


_ENDED: Final = datetime(2026, 2, 24, 15, 2, 40, tzinfo=UTC).timestamp()
_TARGETS: Final[Mapping[str, Target]] = {
    "webinar": _target("webinar", "", ""),
    "registrant": _target("registrant", WEBINAR, "Product tour"),
    "session": _target("session", WEBINAR, "Product tour"),
    "participant": _target("participant", f"{WEBINAR}/{SESSION}", "Product tour"),
    "meeting": _target("meeting", "", ""),
    "meeting_session": _target("meeting_session", "", ""),
    "meeting_attendee": _target("meeting_attendee", MEETING, "Weekly review"),
    "webinar_start": _target("webinar_start", "", ""),
    "meeting_start": _target("meeting_start", "", ""),
}


def _created(kind: str, body: Mapping[str, Any]) -> Draft:
    """Of a body in its normal form."""
    source, encoded = _SOURCES[kind], encode(dict(body))
    facts = source.facts(_TARGETS[kind], encoded)
    row = RecordRow("", b"", encoded)
    return drafting.created(facts.type or source.created, facts, row, connection=CONNECTION, observed=SEEN)


def _changed(kind: str, normal: Callable[[Mapping[str, Any]], dict[str, Any]], item: Mapping[str, Any]) -> Draft:
    source, body = _SOURCES[kind], encode(normal(item))
    change = source.compare(encode(normal({**item, **_BEFORE[kind]})), body, SEEN)
    assert change is not None
    row = RecordRow("", b"", body, revision=2)
    facts = source.facts(_TARGETS[kind], body)
    return drafting.changed(source.changed, facts, row, change, connection=CONNECTION, observed=SEEN)


def _removed(kind: str, body: Mapping[str, Any]) -> Draft:
    source, encoded = _SOURCES[kind], encode(dict(body))
    row = RecordRow("", b"", encoded, revision=2)
    facts = source.facts(_TARGETS[kind], encoded)
    return drafting.removed(source.removed, facts, row, connection=CONNECTION, observed=SEEN)


def _recorded() -> dict[str, Any]:
    return as_recording(normal_meeting({**_HELD, "recording": dict(_RECORDING)}))


def _running() -> dict[str, Any]:
    names = (
        "webinarKey",
        "webinarID",
        "organizerKey",
        "subject",
        "description",
        "times",
        "timeZone",
        "registrationUrl",
    )
    item = normal_running({name: _WEBINAR[name] for name in (*names, "impromptu", "experienceType")})
    counts = {"numberOfRegistrants": 1, "inSession": True}
    return {**item, **counts, "plannedStart": item["times"][0]["startTime"]}


_FACTS: Final[Mapping[str, Callable[[], Draft]]] = {
    "webinar.created": lambda: _created("webinar", normal_webinar(_WEBINAR)),
    "webinar.changed": lambda: _changed("webinar", normal_webinar, _WEBINAR),
    "webinar.cancelled": lambda: _removed("webinar", normal_webinar(_WEBINAR)),
    "webinar.session.completed": lambda: _created("session", normal_session(_SESSION)),
    "webinar.session.started": lambda: _created("webinar_start", _running()),
    "registrant.added": lambda: _created("registrant", _REGISTRANT),
    "registrant.changed": lambda: _changed("registrant", dict, _REGISTRANT),
    "registrant.removed": lambda: _removed("registrant", _REGISTRANT),
    "participant.attended": lambda: _created("participant", normal_attendee(_ATTENDEE)),
    "participant.absent": lambda: _created("participant", absence(normal_registrant(_REGISTRANT))),
    "meeting.created": lambda: _created("meeting", normal_meeting(_MEETING)),
    "meeting.changed": lambda: _changed("meeting", normal_meeting, _MEETING),
    "meeting.cancelled": lambda: _removed("meeting", normal_meeting(_MEETING)),
    "meeting.started": lambda: _created("meeting_start", normal_meeting({**_MEETING, "status": "ACTIVE"})),
    "meeting.ended": lambda: _created("meeting_session", normal_meeting(_HELD)),
    "meeting.recording.available": lambda: _created("meeting_session", _recorded()),
    "meeting.attended": lambda: _created("meeting_attendee", normal_meeting(_PRESENT)),
}
