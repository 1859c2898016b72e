"""What many operations of GoTo Webinar share: parameters, beginnings of paths, and how lists come in pages."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from poller.goto.operations.kinds import KEY, MOMENT, Key, Moment, number
from poller.goto.operations.spec import Paging, Parameter

ORGANIZER: Final = Parameter("organizerKey", "path", Annotated[Key, KEY], required=True)
ACCOUNT: Final = Parameter("accountKey", "path", Annotated[Key, KEY], required=True)
WEBINAR: Final = Parameter("webinarKey", "path", Annotated[Key, KEY], required=True)
SESSION: Final = Parameter("sessionKey", "path", Annotated[Key, KEY], required=True)
REGISTRANT: Final = Parameter("registrantKey", "path", Annotated[Key, KEY], required=True)
COORGANIZER: Final = Parameter("coorganizerKey", "path", Annotated[Key, KEY], required=True)
PANELIST: Final = Parameter("panelistKey", "path", Annotated[Key, KEY], required=True)
FROM: Final = Parameter("fromTime", "query", Annotated[Moment, MOMENT], required=True)
TO: Final = Parameter("toTime", "query", Annotated[Moment, MOMENT], required=True)
# The document calls the second "optional" and marks it as required; without a range all come.
SINCE: Final = Parameter("fromTime", "query", Annotated[Moment, MOMENT])
UNTIL: Final = Parameter("toTime", "query", Annotated[Moment, MOMENT])
PAGE: Final = Parameter("page", "query", Annotated[int, number(0)])
SIZE: Final = Parameter("size", "query", Annotated[int, number(1, 200)])
LIMIT: Final = Parameter("limit", "query", Annotated[int, number(1, 200)])
NOTIFY: Final = Parameter("notifyParticipants", "query", bool)
EXTERNAL: Final = Parameter("external", "query", bool)
INCLUDES: Final = Parameter("includes", "query", list[Literal["recordingShareUrl", "webinarKey"]])
# Both are always sent: GoTo's own default for deleteAll takes a whole series along.
CANCELLATION_EMAILS: Final = Parameter("sendCancellationEmails", "query", bool, default=False)
DELETE_ALL: Final = Parameter("deleteAll", "query", bool, default=False)
CONFIRM_AGAIN: Final = Parameter("resendConfirmation", "query", bool)
# The vendor's other type keeps nothing but name and e-mail address.
ACCEPT_ALL: Final = Parameter("Accept", "header", Literal["application/json"], default="application/json")

IN_WEBINAR: Final = "/organizers/{organizerKey}/webinars/{webinarKey}"
IN_SESSION: Final = f"{IN_WEBINAR}/sessions/{{sessionKey}}"
IN_ATTENDEE: Final = f"{IN_SESSION}/attendees/{{registrantKey}}"
OF_WEBINAR: Final = (ORGANIZER, WEBINAR)
OF_SESSION: Final = (ORGANIZER, WEBINAR, SESSION)
OF_ATTENDEE: Final = (ORGANIZER, WEBINAR, SESSION, REGISTRANT)


def hal(name: str, item: Any, *identity: str) -> Paging:
    return Paging("page", "size", ("_embedded", name), identity, item)
