"""Recordings. Shapes and rules: the vendor's OpenAPI document, tags RecordingAssets and Webinars.

A recording belongs to a session that is over; whether one was made follows from the session's key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal

import msgspec

from poller.simulator.answers import Answer, bad_request, json_answer, not_yours
from poller.simulator.attendance import Session
from poller.simulator.desk import Operation, Visit
from poller.simulator.lister import DEFAULT_SIZE, EVER, Lister
from poller.simulator.listing import Page
from poller.simulator.model import Span, Webinar
from poller.simulator.shapes import JsonObject, utc
from poller.simulator.warrant import Warrant
from poller.simulator.webinar_request import Moment, decode
from poller.simulator.world import World

RECORDED_AFTER = timedelta(minutes=30)
EXTRAS = ("recordingShareUrl", "webinarKey")


@dataclass(frozen=True, slots=True)
class Recording:
    key: str
    session: Session
    made: datetime

    @property
    def name(self) -> str:
        return self.session.webinar.subject


class Search(msgspec.Struct, rename="camel"):
    """The account's search is for one of its organizers and may have a range."""

    account_key: str | None = None
    organizer_key: str | None = None
    name: str = ""
    sort_field: Literal["CREATETIME", "NAME"] = "CREATETIME"
    sort_order: Literal["DESC", "ASC"] = "DESC"
    from_time: Moment | None = None
    to_time: Moment | None = None

    @property
    def span(self) -> Span:
        start, end = self.from_time or EVER.start, self.to_time or EVER.end
        return Span(start.astimezone(UTC) if self.from_time else start, end.astimezone(UTC) if self.to_time else end)


class RecordingApi:
    def __init__(self, world: World, lister: Lister) -> None:
        self._world, self._lister = world, lister
        self._warrant = Warrant(world)

    def operations(self) -> list[Operation]:
        v2 = "/G2W/rest/v2"
        own, whole = f"{v2}/recordingassets/search", f"{v2}/accounts/{{accountKey}}/recordingassets/search"
        return [
            Operation("searchAssets", "POST", own, self._search),
            Operation("searchAssets", "PUT", own, self._search),  # declared as POST, shown as PUT
            Operation("searchAssetsForAdmin", "POST", whole, self._search_account),
            Operation("getRecordingAssets", "GET", f"{v2}/webinars/{{webinarKey}}/recordingAssets", self._of_webinar),
        ]

    def _search(self, visit: Visit) -> Answer:
        asked, caller = decode(visit.body, Search), visit.caller.person
        if asked.account_key is None:
            raise bad_request("accountKey is required.")
        if asked.account_key != caller.account_key:
            raise not_yours()
        return self._found(visit, asked, caller.organizer_key)

    def _search_account(self, visit: Visit) -> Answer:
        self._warrant.account(visit)
        asked = decode(visit.body, Search)
        if asked.organizer_key is None:
            raise bad_request("organizerKey is required.")
        return self._found(visit, asked, asked.organizer_key)

    def _found(self, visit: Visit, asked: Search, organizer_key: str) -> Answer:
        webinars = [w for w in self._world.webinars(organizer_key) if w.organizer_key == organizer_key]

        def search(age: timedelta = timedelta(0)) -> list[Recording]:
            made = (r for r in self._made(webinars, visit.now - age) if asked.span.holds(r.made))
            found = [recording for recording in made if asked.name.lower() in recording.name.lower()]
            by_name = asked.sort_field == "NAME"
            return sorted(
                found,
                key=lambda recording: (recording.name if by_name else "", recording.made, recording.key),
                reverse=asked.sort_order == "DESC",
            )

        page = self._lister.sized_page(visit, search, search)
        extras = [name for name in visit.query.get("includes", "").split(",") if name in EXTRAS]
        return self._lister.hal(page, "recordingAssets", lambda recording: _asset(recording, extras))

    def _of_webinar(self, visit: Visit) -> Answer:
        webinar = self._warrant.hosted(visit)

        def made(age: timedelta = timedelta(0)) -> list[Recording]:
            return self._made([webinar], visit.now - age)

        place = self._lister.place(visit, size_name="limit", default=DEFAULT_SIZE)
        page: Page[Recording] = self._lister.page(visit, made, made, *place)
        data = [_asset(recording, EXTRAS) for recording in page.items]
        return json_answer({"data": data, "total": page.total, "page": page.number, "pageSize": len(data)})

    def _made(self, webinars: Iterable[Webinar], moment: datetime) -> list[Recording]:
        drawn = (self._recording(session) for session in self._world.sessions.completed(webinars, moment))
        return [recording for recording in drawn if recording is not None and recording.made <= moment]

    def _recording(self, session: Session) -> Recording | None:
        rng = Random(f"{session.webinar_key}:{session.session_key}:recording")
        if rng.random() >= self._world.options.recording_share:
            return None
        return Recording(f"{rng.getrandbits(64):016x}", session, session.held.end + RECORDED_AFTER)


def _asset(recording: Recording, extras: Iterable[str]) -> JsonObject:
    webinar, address = recording.session.webinar, f"https://recordings.gotowebinar.com/{recording.key}"
    more = {"recordingShareUrl": f"{address}/share", "webinarKey": webinar.webinar_key}
    return {
        "name": recording.name,
        "recordingAssetKey": recording.key,
        "productName": "g2w",
        "createTime": utc(recording.made),
        "creatorKey": webinar.organizer_key,
        "accountKey": webinar.account_key,
        "totalReferenceCount": 1,
        "mp4DownloadUrl": f"{address}/video.mp4",
        "transcriptDownloadUrl": f"{address}/transcript.vtt",
        **{name: more[name] for name in extras},
    }
