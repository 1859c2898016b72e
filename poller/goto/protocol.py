"""GoTo's HTTP interface without any I/O: which request asks for what, and what an answer means.

Requests follow the vendor's OpenAPI document (developer.goto.com, GoTo Webinar v2). It declares no error bodies and
no 401, 429 or 5xx, so the reading of errors rests on what the live API was seen to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Literal, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Raw
from msgspec.json import Decoder
from yarl import URL

from poller.errors import Malformed, NotFound, PermissionRefused, PollerError, Reauthorize, Refused, Wait
from poller.goto import retry_after
from poller.goto.models import (
    AnyObject,
    CountedWebinar,
    ListAnswer,
    Page,
    RegistrantPage,
    SessionPage,
    WebinarPage,
    WireError,
    text_key,
)

PAGE_SIZE: Final = 200  # the vendor's maximum, for `size` and for `limit`

_NO_HEADERS: Final[Mapping[str, str]] = {}
_EMAIL = re.compile(r"[^\s\"'<>]+@[^\s\"'<>]+")

_webinar_page = Decoder(WebinarPage)
_registrant_page = Decoder(RegistrantPage)
_session_page = Decoder(SessionPage)
_array = Decoder(list[Raw])
_counted = Decoder(list[CountedWebinar])
_object = Decoder(AnyObject)
_error = Decoder(WireError)

Shape = TypeVar("Shape")

# What one attendee said, as paths end; and the operations that say it.
AttendeeList = Literal["polls", "questions", "surveys"]
_ATTENDEE_LISTS: Final[Mapping[AttendeeList, str]] = {
    "polls": "getAttendeePollAnswers",
    "questions": "getAttendeeQuestions",
    "surveys": "getAttendeeSurveyAnswers",
}


class TokenRefused(Reauthorize):
    """The access token is not (or no longer) accepted; final only once a fresh one is refused, too."""


class NoAnswer(Wait):
    """The request went out and no whole answer came back: nobody knows whether it was carried out."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call. `operation` is the vendor's operationId: limits are counted by it.

    `timeout`: seconds for the whole exchange, None for what the transport is set to.
    """

    method: str
    url: URL
    operation: str
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS, repr=False)
    body: bytes | None = field(default=None, repr=False)
    timeout: float | None = None


class Requests:
    """Builds the requests for one API host (`api_url`, no trailing slash needed)."""

    def __init__(self, api_url: str) -> None:
        root = api_url.rstrip("/")
        self._webinar_api = f"{root}/G2W/rest/v2"
        self._meeting_api = f"{root}/G2M/rest"
        self._old_api = f"{root}/G2W/rest"
        self._admin_me = Request("GET", URL(f"{root}/admin/rest/v1/me"), "getMe")
        self._scim_me = Request("GET", URL(f"{root}/identity/v1/Users/me"), "getScimMe")

    def admin_me(self) -> Request:
        return self._admin_me

    def scim_me(self) -> Request:
        return self._scim_me

    def webinars(self, organizer_key: str, from_time: datetime, to_time: datetime, page: int) -> Request:
        """The filter is on the webinars' own times; both ends are required."""
        path = f"organizers/{segment(organizer_key)}/webinars"
        return self._get("getWebinars", f"{path}?{_range(from_time, to_time)}&page={page}&size={PAGE_SIZE}")

    def account_webinars(self, account_key: str, from_time: datetime, to_time: datetime, page: int) -> Request:
        path = f"accounts/{segment(account_key)}/webinars"
        query = f"{_range(from_time, to_time)}&page={page}&size={PAGE_SIZE}"
        return self._get("getAllAccountWebinars", f"{path}?{query}")

    def in_session_webinars(self, organizer_key: str) -> Request:
        """Unpaged. Without a range all that are running come."""
        return self._get("getInSessionWebinars", f"organizers/{segment(organizer_key)}/insessionWebinars")

    def webinar(self, organizer_key: str, webinar_key: str) -> Request:
        return self._get("getWebinar", _webinar_path(organizer_key, webinar_key))

    def upcoming_webinars(self, organizer_key: str) -> Request:
        """The old v1 list: unpaged, of webinars that are not over, co-organized ones too. Only it carries counts."""
        url = URL(f"{self._old_api}/organizers/{segment(organizer_key)}/upcomingWebinars", encoded=True)
        return Request("GET", url, "getUpcomingWebinars")

    def registrants(self, organizer_key: str, webinar_key: str) -> Request:
        """Neither page nor limit may be sent: only then the answer is one bare array of all."""
        path = _webinar_path(organizer_key, webinar_key)
        return self._get("getAllRegistrantsForWebinar", f"{path}/registrants")

    def registrants_page(self, organizer_key: str, webinar_key: str, page: int) -> Request:
        """The size parameter is called `limit` here and nowhere else; a wrong name is silently ignored."""
        path = f"{_webinar_path(organizer_key, webinar_key)}/registrants"
        return self._get("getAllRegistrantsForWebinar", f"{path}?page={page}&limit={PAGE_SIZE}")

    def registrant(self, organizer_key: str, webinar_key: str, registrant_key: str) -> Request:
        path = _webinar_path(organizer_key, webinar_key)
        return self._get("getRegistrant", f"{path}/registrants/{segment(registrant_key)}")

    def sessions(self, organizer_key: str, webinar_key: str, page: int) -> Request:
        path = f"{_webinar_path(organizer_key, webinar_key)}/sessions"
        return self._get("getAllSessions", f"{path}?page={page}&size={PAGE_SIZE}")

    def attendees(self, organizer_key: str, webinar_key: str, session_key: str) -> Request:
        path = f"{_webinar_path(organizer_key, webinar_key)}/sessions/{segment(session_key)}"
        return self._get("getAttendees", f"{path}/attendees")

    def attendee_list(
        self, kind: AttendeeList, organizer_key: str, webinar_key: str, session_key: str, registrant_key: str
    ) -> Request:
        """What one attendee said in a session. Each list is one bare array."""
        path = f"{_webinar_path(organizer_key, webinar_key)}/sessions/{segment(session_key)}"
        return self._get(_ATTENDEE_LISTS[kind], f"{path}/attendees/{segment(registrant_key)}/{kind}")

    # GoTo Meeting; every list is one bare array. An empty `organizer_key` means the token's own lists.

    def upcoming_meetings(self, organizer_key: str) -> Request:
        return self._meetings("getUpcomingMeetings", organizer_key, "upcomingMeetings")

    def historical_meetings(self, organizer_key: str, from_time: datetime, to_time: datetime) -> Request:
        """Those that began in the range and are over."""
        dates = f"startDate={utc(from_time)}&endDate={utc(to_time)}"
        return self._meetings("getHistoricalMeetings", organizer_key, f"historicalMeetings?{dates}")

    def meeting(self, meeting_id: str) -> Request:
        return self._get_meeting("getMeeting", f"meetings/{segment(meeting_id)}")

    def meeting_history(self, meeting_id: str) -> Request:
        path = f"meetings/{segment(meeting_id)}/historicalMeetings"
        return self._get_meeting("getHistoricalMeetingsByMeetingId", path)

    def meeting_attendees(self, meeting_id: str) -> Request:
        return self._get_meeting("getAttendeesByMeeting", f"meetings/{segment(meeting_id)}/attendees")

    def meeting_organizers(self) -> Request:
        return self._get_meeting("getOrganizers", "organizers")

    def _meetings(self, operation: str, organizer_key: str, path: str) -> Request:
        if not organizer_key:
            return self._get_meeting(operation, path)
        return self._get_meeting(f"{operation}ByOrganizer", f"organizers/{segment(organizer_key)}/{path}")

    def _get_meeting(self, operation: str, path: str) -> Request:
        return Request("GET", URL(f"{self._meeting_api}/{path}", encoded=True), operation)

    def _get(self, operation: str, path: str) -> Request:
        return Request("GET", URL(f"{self._webinar_api}/{path}", encoded=True), operation)


def segment(key: str) -> str:
    """A key as one segment of a path, whatever is in it."""
    if key.isdecimal() and key.isascii():
        return key
    if key in ("", ".", ".."):
        raise Refused(f"{key!r} cannot be a GoTo key")
    return quote(key, safe="")


def utc(moment: datetime) -> str:
    """GoTo wants UTC with a trailing Z; parts of seconds are cut off."""
    if moment.tzinfo is None:
        raise ValueError("GoTo's times need an aware datetime")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _range(from_time: datetime, to_time: datetime) -> str:
    return f"fromTime={utc(from_time)}&toTime={utc(to_time)}"


def _webinar_path(organizer_key: str, webinar_key: str) -> str:
    return f"organizers/{segment(organizer_key)}/webinars/{segment(webinar_key)}"


# --- answers ---------------------------------------------------------------------------------------------------


def interpret(status: int, headers: Mapping[str, str], body: bytes, now: Callable[[], datetime]) -> bytes:
    """The body of a good answer. Otherwise raises what the caller should do about it.

    TokenRefused: 401, or 403 with int_err_code InvalidToken · PermissionRefused: any other 403 · NotFound: 404 ·
    Wait: 429 (with Retry-After), 408, 3xx, 5xx, or a 404 of the gateway itself · Malformed: a 404 that is a web page ·
    Refused: every other 4xx, with the vendor's words.
    """
    if 200 <= status < 300:
        return body
    raise _failure(status, headers, body, now)


def refuses_token(status: int, body: bytes) -> bool:
    """Whether an answer is about the access token and not about the call."""
    return status == 401 or (status == 403 and _wire_error(body).int_err_code == "InvalidToken")


def _failure(status: int, headers: Mapping[str, str], body: bytes, now: Callable[[], datetime]) -> PollerError:
    error = _wire_error(body)
    said = f"GoTo answered {status}{_quoted(error)}"
    if refuses_token(status, body):
        return TokenRefused(f"{said}: the access token is not accepted")
    if status == 403:
        return PermissionRefused(said)
    if status == 404:
        return _not_found(said, error, body)
    if status == 429 or status >= 500:
        return Wait(said, retry_after=stated_pause(headers, now))
    if status < 400:
        return Wait(f"{said}, a redirect that is not followed: check [goto] api_url")
    return Wait(said) if status == 408 else Refused(said)


def stated_pause(headers: Mapping[str, str], now: Callable[[], datetime]) -> float | None:
    """Seconds the answer asks to wait; None if it names no (sensible) time."""
    value = headers.get("Retry-After")
    return None if value is None else retry_after.parse(value, now=now(), sent_at=headers.get("Date"))


def _not_found(said: str, error: WireError, body: bytes) -> PollerError:
    """Only the application's own 404 says that a thing is gone; a gateway's or a proxy's page does not."""
    if error.errorCode == "NOT_FOUND" and error.description is None:
        return Wait(f"{said}: the gateway does not know this path; check [goto] api_url")
    if body.lstrip()[:1] == b"<":
        return Malformed(f"{said} with a web page, which says nothing about the thing asked for")
    return NotFound(said)


def _wire_error(body: bytes) -> WireError:
    try:
        return _error.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return WireError()


def _quoted(error: WireError) -> str:
    """The vendor's words, without addresses, for logs and terminals."""
    text = _EMAIL.sub("…", error.text())[:300]
    return f" ({text})" if text else ""


def document(body: bytes) -> Raw:
    """One record: a complete JSON object."""
    decode(_object, body, "an object")
    return Raw(body)


def only_one(body: bytes, what: str) -> Raw:
    """One record in an array, as GoTo Meeting answers by a key."""
    items = decode(_array, body, f"an array with {what}")
    if len(items) != 1:
        raise Malformed(f"{len(items)} items instead of {what}")
    return document(bytes(items[0]))


def webinar_page(body: bytes) -> Page:
    """A page of webinars. An absent list is an empty one only if the page itself says so."""
    answer = decode(_webinar_page, body, "a page of webinars")
    items = answer.embedded.webinars if answer.embedded is not None else None
    return _page(items, answer.page.totalElements, answer.page.totalPages, body)


def registrant_page(body: bytes) -> Page:
    answer = decode(_registrant_page, body, "a page of registrants")
    return _page(answer.data, answer.total, None, body)


def session_page(body: bytes) -> Page:
    answer = decode(_session_page, body, "a page of sessions")
    items = answer.embedded.sessionInfoResources if answer.embedded is not None else None
    return _page(items, answer.page.totalElements, answer.page.totalPages, body)


def whole_list(body: bytes, unless_digest: bytes | None, what: str) -> ListAnswer:
    """All items of a bare array; the body is not looked into when its digest is the one given."""
    digest = digest_of(body)
    if digest == unless_digest:
        return ListAnswer([], digest, True, len(body))
    items = decode(_array, body, f"an array of {what}")
    return ListAnswer(items, digest, False, len(body))


def registrant_counts(body: bytes) -> dict[str, int]:
    """By webinar key, of the old list's items that have both. NotFound if none of them has a count."""
    items = decode(_counted, body, "an array of webinars")
    counts = {key: item.numberOfRegistrants for item in items if (key := text_key(item.webinarKey)) is not None}
    found = {key: count for key, count in counts.items() if count is not None and count >= 0}
    if items and not found:
        raise NotFound("the old list of upcoming webinars carries no counts of registrants")
    return found


def digest_of(body: bytes) -> bytes:
    """Every poll pays for this one: processors have instructions for SHA-256, and are twice as fast as with BLAKE2b."""
    return sha256(body).digest()[:16]


def _page(items: list[Raw] | None, total: int, pages: int | None, body: bytes) -> Page:
    if total < 0 or (items is None and total > 0):
        raise Malformed(f"a page promises {total} items and holds no list")
    return Page(items or [], digest_of(body), total, pages, len(body))


def decode(decoder: Decoder[Shape], body: bytes, what: str) -> Shape:
    """Everything or nothing: the whole body must be valid JSON in valid UTF-8 of the right shape."""
    try:
        if not body.isascii():
            body.decode()  # items are left undecoded, so their encoding would go unchecked
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as err:
        raise Malformed(f"what GoTo sent ({len(body)} bytes) is not {what}: {type(err).__name__}") from err
