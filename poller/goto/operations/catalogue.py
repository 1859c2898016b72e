"""All operations of GoTo there are, by name. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from poller.goto.operations.meeting import MEETINGS, ROOMS
from poller.goto.operations.people import ATTENDEES, HELPERS, REGISTRANTS
from poller.goto.operations.spec import Operation
from poller.goto.operations.webhook import WEBHOOKS
from poller.goto.operations.webinar import RECORDINGS, SESSIONS, WEBINARS

# As they are spread over modules, of declarations and of methods.
SUBJECTS: Final = {
    "webinar": (*WEBINARS, *SESSIONS, *RECORDINGS),
    "people": (*REGISTRANTS, *ATTENDEES, *HELPERS),
    "webhook": WEBHOOKS,
    "meeting": (*MEETINGS, *ROOMS),
}

_ALL: Final = tuple(operation for operations in SUBJECTS.values() for operation in operations)

OPERATIONS: Final = {operation.name: operation for operation in _ALL}


def spoken(name: str) -> str:
    """A name as it is compared: "Get Webinars", "get_webinars" and "getWebinars" are one."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _names(operations: Iterable[Operation]) -> dict[str, Operation]:
    found = {spoken(alias): operation for operation in operations for alias in operation.aliases}
    return found | {spoken(operation.name): operation for operation in operations}


_NAMED: Final = _names(_ALL)


def find(name: str) -> Operation | None:
    """The operation of this name, in any spelling, or of this alias."""
    return _NAMED.get(spoken(name))


def matching(method: str, path: str) -> Operation | None:
    """The operation that a raw request amounts to. `path`: without the host and the query."""
    wanted = method.upper()
    found = [operation for operation in _ALL if operation.method == wanted and operation.pattern.fullmatch(path)]
    # A fixed word in a path is more than a place for a key: registrants/fields is no registrant.
    return min(found, key=lambda operation: operation.whole_path.count("{"), default=None)
