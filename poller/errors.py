"""What can go wrong, named after what the caller should do about it.

PollerError
├── Wait              come back later: a limit, an outage, a sink that is down
│   └── QuotaExhausted   the budget of calls is spent; `retry_after` says when a call is free again
├── Reauthorize       only a person can help: log in again
├── OutcomeUnknown    a change was asked for and no answer came: look before asking again
├── PermissionRefused this call is not allowed with these credentials; others may be
├── NotFound          the thing does not exist (any more)
├── Malformed         the answer cannot be trusted; nothing in it counts
├── Refused           this one request or event will never be accepted; go on with the next
├── Gone              the receiver wants nothing more, ever
└── UsageError        the command line or the settings are wrong (exit code 2)
"""

from __future__ import annotations

from state.errors import NothingThere, StateError, StateUnavailable


class PollerError(Exception):
    """Root of everything this package raises on purpose. The text is written for the person who runs it."""


class Wait(PollerError):
    """Try again later. `retry_after` (seconds) is a floor said by the other side, None where it said nothing."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QuotaExhausted(Wait):
    """A window of the rate limits has no room in time for this call."""


class Reauthorize(PollerError):
    """The credentials of one connection are refused for good; `poller login` is the only way on."""


class OutcomeUnknown(PollerError):
    """Something may or may not have been changed. The text says where to look; asking again might do it twice."""


class PermissionRefused(PollerError):
    """The token is fine, the operation is not allowed (a 403 other than InvalidToken)."""


class NotFound(PollerError):
    """A 404 for this very key."""


class Malformed(PollerError):
    """An answer that is not what it claims to be: HTML with status 200, cut JSON, wrong types."""


class Refused(PollerError):
    """The receiver refuses this one item for good (400, 413, 422); repeating it is useless."""


class Gone(PollerError):
    """The receiver asks never to be called again (410)."""


class UsageError(PollerError):
    """Wrong usage or settings. The text names the file, the key or the field, and how to mend it."""


def exit_code(error: BaseException) -> int:
    """The exit code of a command that ended with `error`: 1 failed, 2 usage, 3 login needed, 4 the state."""
    if isinstance(error, UsageError):
        return 2
    if isinstance(error, Reauthorize):
        return 3
    if isinstance(error, StateError) and not isinstance(error, StateUnavailable | NothingThere):
        return 4
    return 1
