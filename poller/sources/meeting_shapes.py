"""One normal form for GoTo Meeting's objects, and whose lists are read. Vendor: GoTo Meeting API reference."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from msgspec import Raw

from poller.errors import NotFound, PermissionRefused, PollerError, Refused
from poller.goto import GotoClient, ListAnswer, key_of
from poller.ports import Walk
from poller.sources.meeting_times import rfc3339
from poller.sources.pages import walk_of
from poller.sources.shapes import fingerprint, normalise
from state.records import Record

_TIMES: Final = ("startTime", "endTime", "joinTime", "leaveTime", "createTime")
_IDS: Final = ("meetingId", "uniqueMeetingId", "sessionId")
_SPELLINGS: Final = {"organizerkey": "organizerKey", "meetingid": "meetingId"}

# So long (seconds) the organizers of an account are taken for the same.
_SAME = 3600.0


def normal_meeting(item: Mapping[str, Any]) -> dict[str, Any]:
    """Times in RFC 3339, what is empty null, ids and keys as strings, one spelling, status in upper case."""
    data: dict[str, Any] = {name: None if value == "" else value for name, value in normalise(item).items()}
    for name, spelling in _SPELLINGS.items():
        if name in data:
            value = data.pop(name)
            data.setdefault(spelling, value)
    data |= {name: rfc3339(data[name]) for name in _TIMES if name in data}
    data |= {name: str(data[name]) for name in _IDS if type(data.get(name)) is int}
    if isinstance(data.get("status"), str):
        data["status"] = data["status"].upper()
    return data


@dataclass(frozen=True, slots=True)
class Lists:
    """What was read of one kind of list, of one organizer or of all of an account."""

    items: Sequence[Raw]
    digest: bytes
    calls: int
    problem: PollerError | None = None  # why it is not all

    def walk(self, known: bytes, record: Callable[[Raw], Record | None]) -> Walk:
        """What comes of it; `known` is the digest of the last complete walk, `record` is None for what is garbage."""
        if self.digest == known and self.problem is None:
            return self.unchanged(self.digest)
        records = [made for item in self.items if (made := record(item)) is not None]
        return self.found(records, len(self.items) - len(records), self.digest)

    def unchanged(self, digest: bytes) -> Walk:
        return Walk(unchanged=True, digest=digest, calls=self.calls)

    def found(self, records: Sequence[Record], set_aside: int, digest: bytes) -> Walk:
        return walk_of(records, self.problem is None, set_aside, digest, self.calls, self.problem)


class Readers:
    """Whose lists a connection reads: its own, or with `account` those of all organizers that `admits` lets in.

    `known` are organizers named in the settings; they are read also where GoTo does not list the account's organizers.
    """

    def __init__(
        self,
        client: GotoClient,
        *,
        account: bool,
        organizer_key: str,
        now: Callable[[], datetime],
        known: Sequence[str] = (),
        admits: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.account = account
        self.organizer_key = organizer_key
        self.now = now
        self._client = client
        self._known = known
        self._admits = admits
        self._listed: tuple[float, Sequence[str]] | None = None

    async def read(self, fetch: Callable[[str], Awaitable[ListAnswer]]) -> Lists:
        """The lists of all of them; `fetch` is given an organizer's key, empty for the own list.

        Raises if nothing could be read; what comes after the first list is the answer's `problem`.
        """
        if not self.account:
            answer = await fetch("")
            return Lists(answer.items, answer.digest, 1)
        keys, calls = await self._organizers()
        items: list[Raw] = []
        digests: list[bytes] = []
        problem: PollerError | None = None
        for key in keys:
            try:
                answer = await fetch(key)
            except (NotFound, PermissionRefused, Refused):
                continue  # one organizer without the product must not hold up the others
            except PollerError as error:
                if not digests:
                    raise
                problem = error
                break
            finally:
                calls += 1
            items.extend(answer.items)
            digests.append(answer.digest)
        return Lists(items, fingerprint(b"".join(digests)), max(calls, 1), problem)

    async def _organizers(self) -> tuple[list[str], int]:
        """Their keys, and the calls spent on finding out."""
        now, calls = self.now().timestamp(), 0
        if self._listed is None or not 0 <= now - self._listed[0] < _SAME:
            calls = 1
            try:
                answer = await self._client.meeting_organizers()
                found = [key_of(item, "organizerKey") for item in answer.items]
            except (NotFound, PermissionRefused, Refused):
                found = []  # the vendor has deprecated this list
            self._listed = (now, [key for key in found if key is not None])
        keys = dict.fromkeys([self.organizer_key, *self._known, *self._listed[1]])
        return [key for key in keys if self._admits(key)], calls
