"""The body of POST and PUT meeting: what a client must say, and what is refused with 400."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from poller.simulator.answers import bad_request
from poller.simulator.meeting_model import IMMEDIATE, RECURRING
from poller.simulator.model import Span
from poller.simulator.webinar_request import Moment

LONGEST_SUBJECT, LONGEST_CALL_INFO = 100, 255
WEEK = timedelta(weeks=1)  # the pattern of a recurring meeting is nothing a client could say


class MeetingRequest(msgspec.Struct):
    """The vendor's names: lower case, all but one of them required."""

    subject: str
    starttime: Moment
    endtime: Moment
    passwordrequired: bool
    conferencecallinfo: str
    meetingtype: Literal["immediate", "recurring", "scheduled"]
    timezonekey: str = ""  # deprecated
    coorganizers: list[str] = msgspec.field(default_factory=list, name="coorganizerKeys")


def parse_meeting(body: bytes, now: datetime) -> dict[str, Any]:
    """Fields of `Meeting`."""
    try:
        request = msgspec.json.decode(body, type=MeetingRequest)
    except msgspec.DecodeError as error:
        raise bad_request(f"Invalid body: {error}") from error
    if not request.subject or len(request.subject) > LONGEST_SUBJECT:
        raise bad_request(f"subject is required and has at most {LONGEST_SUBJECT} characters.")
    if not request.conferencecallinfo or len(request.conferencecallinfo) > LONGEST_CALL_INFO:
        raise bad_request(f"conferencecallinfo is required and has at most {LONGEST_CALL_INFO} characters.")
    span = Span(request.starttime.astimezone(UTC), request.endtime.astimezone(UTC))
    if not now < span.start < span.end:
        raise bad_request("starttime must lie in the future, and endtime after it.")
    return {
        "subject": request.subject.replace("<", "&lt;").replace(">", "&gt;"),
        "kind": request.meetingtype,
        "planned": None if request.meetingtype == IMMEDIATE else span,
        "every": WEEK if request.meetingtype == RECURRING else None,
        "password_required": request.passwordrequired,
        "conference_call_info": request.conferencecallinfo,
        "coorganizers": tuple(request.coorganizers),
    }
