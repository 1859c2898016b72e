"""Typed calls to GoTo Webinar and GoTo Meeting for one connection: through the limits, with its token.

A refused token is renewed, and the call made once more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING

from msgspec import Raw
from msgspec.json import Decoder

from poller.errors import PermissionRefused, Wait
from poller.goto import protocol
from poller.goto.auth import Authenticator
from poller.goto.limits import Limiter, Priority
from poller.goto.models import (
    Identity,
    ListAnswer,
    Page,
    WireAdminMe,
    WireScimMe,
    identity_of_admin,
    identity_of_scim,
)
from poller.goto.paging import PageTurner, registrant_identity, session_identity, webinar_identity
from poller.goto.protocol import (
    AttendeeList,
    NoAnswer,
    Request,
    Requests,
    TokenRefused,
    interpret,
    refuses_token,
    stated_pause,
)
from poller.goto.transport import Answer, Transport
from poller.ports import Clock

if TYPE_CHECKING:
    from poller.goto.operations.methods import Operations

_admin_me = Decoder(WireAdminMe)
_scim_me = Decoder(WireScimMe)


class Walk:
    """`async for page in walk`; afterwards `walk.complete` says whether all of the list was seen.

    Pages are given out as they come, so additions may be taken from each. When the list moves under way the walk
    begins again at page 0, so items (and pages) may repeat: the caller dedupes by key. Errors of the calls pass
    through; Malformed comes for a page that is none and for a list that keeps moving. `complete` is then false.
    """

    def __init__(self, fetch: Callable[[int], Awaitable[Page]], identity: Callable[[Raw], Hashable]) -> None:
        self._fetch = fetch
        self._turner = PageTurner(identity)

    @property
    def complete(self) -> bool:
        return self._turner.complete

    def __aiter__(self) -> Walk:
        return self

    async def __anext__(self) -> Page:
        number = self._turner.next_page
        if number is None:
            raise StopAsyncIteration
        page = await self._fetch(number)
        self._turner.take(page)
        return page


class GotoClient:
    """Every call takes `priority` and `wait_at_most` (seconds to wait for a free call, else QuotaExhausted).

    Raises Wait, Reauthorize, PermissionRefused, NotFound, Refused and Malformed as `protocol.interpret` says.
    """

    def __init__(
        self,
        connection: str,
        *,
        api_url: str,
        room_url: str = "https://api.goto.com",
        transport: Transport,
        authenticator: Authenticator,
        limiter: Limiter,
        clock: Clock,
    ) -> None:
        self.connection = connection
        self.api_url = api_url
        self.room_url = room_url  # of meeting rooms, which have a host of their own
        self._requests = Requests(api_url)
        self._transport = transport
        self._authenticator = authenticator
        self._limiter = limiter
        self._clock = clock

    @cached_property
    def operations(self) -> Operations:
        """Every operation of GoTo Webinar and GoTo Meeting by its name. Keys of one's own are asked for once."""
        from poller.goto.operations.methods import Operations  # many names, which polling has no use for

        return Operations(self)

    async def who_am_i(self, *, priority: Priority = Priority.USER, wait_at_most: float | None = None) -> Identity:
        """Whose token this is. The admin service knows the account; without its scope SCIM still knows the person."""
        try:
            body = await self.call(self._requests.admin_me(), priority=priority, wait_at_most=wait_at_most)
        except (PermissionRefused, TokenRefused):
            body = await self.call(self._requests.scim_me(), priority=priority, wait_at_most=wait_at_most)
            return identity_of_scim(protocol.decode(_scim_me, body, "a SCIM user"))
        return identity_of_admin(protocol.decode(_admin_me, body, "an admin user"))

    def webinar_pages(
        self,
        organizer_key: str,
        from_time: datetime,
        to_time: datetime,
        *,
        priority: Priority = Priority.LIVE,
        wait_at_most: float | None = None,
    ) -> Walk:
        """An organizer's webinars whose own times lie in the range."""
        make = partial(self._requests.webinars, organizer_key, from_time, to_time)
        return self._walk(make, protocol.webinar_page, webinar_identity, priority, wait_at_most)

    def account_webinar_pages(
        self,
        account_key: str,
        from_time: datetime,
        to_time: datetime,
        *,
        priority: Priority = Priority.LIVE,
        wait_at_most: float | None = None,
    ) -> Walk:
        """The webinars of all organizers of an account; each item names its organizer. Needs an admin's token."""
        make = partial(self._requests.account_webinars, account_key, from_time, to_time)
        return self._walk(make, protocol.webinar_page, webinar_identity, priority, wait_at_most)

    async def in_session_webinars(
        self, organizer_key: str, *, priority: Priority = Priority.LIVE, wait_at_most: float | None = None
    ) -> ListAnswer:
        """An organizer's webinars that are running now."""
        request = self._requests.in_session_webinars(organizer_key)
        return await self._list(request, "running webinars", None, priority, wait_at_most)

    async def webinar(
        self,
        organizer_key: str,
        webinar_key: str,
        *,
        priority: Priority = Priority.LIVE,
        wait_at_most: float | None = None,
    ) -> Raw:
        """One webinar. NotFound: unknown, another organizer's, or cancelled."""
        request = self._requests.webinar(organizer_key, webinar_key)
        return protocol.document(await self.call(request, priority=priority, wait_at_most=wait_at_most))

    async def registrant_counts(
        self, organizer_key: str, *, priority: Priority = Priority.LIVE, wait_at_most: float | None = None
    ) -> dict[str, int]:
        """How many registrants each upcoming webinar has, by its key, from the old v1 list.

        Not every client is offered it: NotFound, PermissionRefused, Refused, or Wait from a gateway.
        """
        request = self._requests.upcoming_webinars(organizer_key)
        return protocol.registrant_counts(await self.call(request, priority=priority, wait_at_most=wait_at_most))

    async def registrants(
        self,
        organizer_key: str,
        webinar_key: str,
        *,
        unless_digest: bytes | None = None,
        priority: Priority = Priority.LIVE,
        wait_at_most: float | None = None,
    ) -> ListAnswer:
        """All registrants in one answer; not even decoded if its digest is `unless_digest`."""
        request = self._requests.registrants(organizer_key, webinar_key)
        return await self._list(request, "registrants", unless_digest, priority, wait_at_most)

    def registrant_pages(
        self,
        organizer_key: str,
        webinar_key: str,
        *,
        priority: Priority = Priority.LIVE,
        wait_at_most: float | None = None,
    ) -> Walk:
        make = partial(self._requests.registrants_page, organizer_key, webinar_key)
        return self._walk(make, protocol.registrant_page, registrant_identity, priority, wait_at_most)

    async def registrant(
        self,
        organizer_key: str,
        webinar_key: str,
        registrant_key: str,
        *,
        priority: Priority = Priority.LIVE,
        wait_at_most: float | None = None,
    ) -> Raw:
        """One registrant with all details."""
        request = self._requests.registrant(organizer_key, webinar_key, registrant_key)
        return protocol.document(await self.call(request, priority=priority, wait_at_most=wait_at_most))

    def session_pages(
        self,
        organizer_key: str,
        webinar_key: str,
        *,
        priority: Priority = Priority.LIVE,
        wait_at_most: float | None = None,
    ) -> Walk:
        """The completed sessions of a webinar."""
        make = partial(self._requests.sessions, organizer_key, webinar_key)
        return self._walk(make, protocol.session_page, session_identity, priority, wait_at_most)

    async def attendees(
        self,
        organizer_key: str,
        webinar_key: str,
        session_key: str,
        *,
        unless_digest: bytes | None = None,
        priority: Priority = Priority.LIVE,
        wait_at_most: float | None = None,
    ) -> ListAnswer:
        """All who came to a completed session; they show up some time after the session does."""
        request = self._requests.attendees(organizer_key, webinar_key, session_key)
        return await self._list(request, "attendees", unless_digest, priority, wait_at_most)

    async def attendee_list(
        self,
        kind: AttendeeList,
        organizer_key: str,
        webinar_key: str,
        session_key: str,
        registrant_key: str,
        *,
        priority: Priority = Priority.LIVE,
        wait_at_most: float | None = None,
    ) -> ListAnswer:
        """What one attendee said in a completed session: answers to polls, questions, or answers to the survey."""
        request = self._requests.attendee_list(kind, organizer_key, webinar_key, session_key, registrant_key)
        return await self._list(request, kind, None, priority, wait_at_most)

    # GoTo Meeting. An empty `organizer_key` means the token's own lists; another one's take an administrator's token.

    async def upcoming_meetings(
        self, organizer_key: str = "", *, priority: Priority = Priority.LIVE, wait_at_most: float | None = None
    ) -> ListAnswer:
        request = self._requests.upcoming_meetings(organizer_key)
        return await self._list(request, "upcoming meetings", None, priority, wait_at_most)

    async def historical_meetings(
        self,
        organizer_key: str,
        from_time: datetime,
        to_time: datetime,
        *,
        priority: Priority = Priority.LIVE,
        wait_at_most: float | None = None,
    ) -> ListAnswer:
        """Meetings that began in the range and are over, one entry for each session."""
        request = self._requests.historical_meetings(organizer_key, from_time, to_time)
        return await self._list(request, "historical meetings", None, priority, wait_at_most)

    async def meeting(
        self, meeting_id: str, *, priority: Priority = Priority.LIVE, wait_at_most: float | None = None
    ) -> Raw:
        request = self._requests.meeting(meeting_id)
        return protocol.only_one(await self.call(request, priority=priority, wait_at_most=wait_at_most), "a meeting")

    async def meeting_history(
        self, meeting_id: str, *, priority: Priority = Priority.LIVE, wait_at_most: float | None = None
    ) -> ListAnswer:
        """The sessions of one meeting in the last 30 days."""
        request = self._requests.meeting_history(meeting_id)
        return await self._list(request, "historical meetings", None, priority, wait_at_most)

    async def meeting_attendees(
        self,
        meeting_id: str,
        *,
        unless_digest: bytes | None = None,
        priority: Priority = Priority.LIVE,
        wait_at_most: float | None = None,
    ) -> ListAnswer:
        """Who attended any session of a meeting. Takes the scope `identity:`."""
        request = self._requests.meeting_attendees(meeting_id)
        return await self._list(request, "attendees", unless_digest, priority, wait_at_most)

    async def meeting_organizers(
        self, *, priority: Priority = Priority.LIVE, wait_at_most: float | None = None
    ) -> ListAnswer:
        """The organizers of the account. Deprecated by the vendor, and there is nothing in its place."""
        request = self._requests.meeting_organizers()
        return await self._list(request, "organizers", None, priority, wait_at_most)

    async def _list(
        self,
        request: Request,
        what: str,
        unless_digest: bytes | None,
        priority: Priority,
        wait_at_most: float | None,
    ) -> ListAnswer:
        body = await self.call(request, priority=priority, wait_at_most=wait_at_most)
        return protocol.whole_list(body, unless_digest, what)

    async def call(
        self, request: Request, *, priority: Priority = Priority.LIVE, wait_at_most: float | None = None
    ) -> bytes:
        """Any request: the body of its good answer. A refused token is renewed once and the call made once more."""
        answer = await self.exchange(request, priority=priority, wait_at_most=wait_at_most)
        return interpret(*answer, self._clock.now)

    async def exchange(
        self, request: Request, *, priority: Priority = Priority.LIVE, wait_at_most: float | None = None
    ) -> Answer:
        """As `call`, but the answer as it is, whatever its status."""
        # Before a place in line is taken: a connection without a login must not use up calls.
        await self._authenticator.access_token()
        token, answer = await self._attempt(request, priority, wait_at_most)
        if not refuses_token(answer.status, answer.body):
            return answer
        await self._authenticator.renew(token)
        _, answer = await self._attempt(request, priority, wait_at_most)
        return answer

    def now(self) -> datetime:
        return self._clock.now()

    async def _attempt(self, request: Request, priority: Priority, wait_at_most: float | None) -> tuple[str, Answer]:
        """One counted call; also says which token it used."""
        slot = self._limiter.slot(
            operation=request.operation,
            connection=self.connection,
            priority=priority,
            wait_at_most=wait_at_most,
        )
        async with slot:
            token = await self._authenticator.access_token()  # waiting in line may have outlived the first
            try:
                answer = await self._transport.send(request, f"Bearer {token}")
            except NoAnswer:
                raise  # whoever was reached stands in the settings rightly
            except Wait as err:
                raise Wait(f"{err}: is [goto] api_url right and reachable?") from err
            if answer.status == 429:
                await self._limiter.refused(stated_pause(answer.headers, self._clock.now))
        return token, answer

    def _walk(
        self,
        make: Callable[[int], Request],
        read: Callable[[bytes], Page],
        identity: Callable[[Raw], Hashable],
        priority: Priority,
        wait_at_most: float | None,
    ) -> Walk:
        async def fetch(number: int) -> Page:
            return read(await self.call(make(number), priority=priority, wait_at_most=wait_at_most))

        return Walk(fetch, identity)
