"""Webinars: the lists, by key, in session, and the calls that make, change and cancel one.

Shapes and rules: the vendor's OpenAPI document, tag Webinars.
"""

from __future__ import annotations

from datetime import timedelta

from poller.simulator.answers import Answer, application_error, bad_request, json_answer
from poller.simulator.desk import Operation, Visit
from poller.simulator.genesis import series
from poller.simulator.lister import Lister, optional_range, required_range
from poller.simulator.model import Span, Webinar
from poller.simulator.shapes import Shapes
from poller.simulator.warrant import Warrant
from poller.simulator.webinar_request import Draft, parse_changes, parse_copy, parse_new
from poller.simulator.world import World


class WebinarApi:
    def __init__(self, world: World, shapes: Shapes, lister: Lister) -> None:
        self._world, self._shapes, self._lister = world, shapes, lister
        self._warrant = Warrant(world)

    def operations(self) -> list[Operation]:
        v2 = "/G2W/rest/v2"
        many = f"{v2}/organizers/{{organizerKey}}/webinars"
        one = f"{many}/{{webinarKey}}"
        in_session = f"{v2}/organizers/{{organizerKey}}/insessionWebinars"
        return [
            Operation("getWebinars", "GET", many, self._list),
            Operation("getAllAccountWebinars", "GET", f"{v2}/accounts/{{accountKey}}/webinars", self._account),
            Operation("getWebinar", "GET", one, self._get),
            Operation("createWebinar", "POST", many, self._create),
            Operation("updateWebinar", "PUT", one, self._change),
            Operation("cancelWebinar", "DELETE", one, self._cancel),
            Operation("copyWebinar", "PUT", f"{v2}/webinars/{{webinarKey}}/copy", self._copy),
            Operation("getInSessionWebinars", "GET", in_session, self._in_session),
        ]

    # ---- lists

    def _list(self, visit: Visit) -> Answer:
        return self._page(visit, self._warrant.organizer(visit))

    def _account(self, visit: Visit) -> Answer:
        self._warrant.account(visit)
        return self._page(visit, None)

    def _page(self, visit: Visit, organizer_key: str | None) -> Answer:
        asked = required_range(visit)

        def within(webinars: list[Webinar]) -> list[Webinar]:
            return [w for w in webinars if _belongs(w, organizer_key) and _within(w, asked)]

        def earlier(age: timedelta) -> list[Webinar]:
            return within(self._world.webinars_as_of(visit.now - age))

        page = self._lister.sized_page(visit, lambda: within(self._world.webinars()), earlier)
        return self._lister.hal(page, "webinars", self._shapes.listed_webinar)

    def _in_session(self, visit: Visit) -> Answer:
        organizer_key = self._warrant.organizer(visit)
        asked = optional_range(visit)
        hosts = self._world.hosts
        return json_answer(
            [
                self._shapes.broker_webinar(w, hosts, self._count(w), visit.now)
                for w in self._world.webinars(organizer_key)
                if w.in_session(visit.now) and _within(w, asked)
            ]
        )

    def _count(self, webinar: Webinar) -> int:
        return self._world.registrant_count(webinar.webinar_key)

    # ---- one webinar

    def _get(self, visit: Visit) -> Answer:
        webinar = self._warrant.webinar(visit)
        owner = self._world.hosts[webinar.organizer_key]
        return json_answer(self._shapes.webinar_by_key(webinar, owner, self._count(webinar), visit.now))

    def _create(self, visit: Visit) -> Answer:
        family = self._add(self._warrant.organizer(visit), parse_new(visit.body))
        more = {"recurrenceKey": key} if (key := family[0].recurrence_key) else {}
        return json_answer({"webinarKey": family[0].webinar_key, **more}, 201)

    def _copy(self, visit: Visit) -> Answer:
        source = self._warrant.hosted(visit)
        family = self._add(source.organizer_key, parse_copy(visit.body, source))
        return json_answer({"webinarKey": family[0].webinar_key}, 201)

    def _add(self, organizer_key: str, draft: Draft) -> list[Webinar]:
        """One webinar or, of a series, all."""
        drawn = self._world.draw_webinar(organizer_key, times=draft.times, **draft.fields)
        family = [drawn]
        if drawn.recurrence == "series":
            family = series(self._world.rng, drawn, draft.times)
        for webinar in family:
            self._world.add_webinar(webinar)
        return family

    def _change(self, visit: Visit) -> Answer:
        """What the body names is replaced, the times as a whole."""
        webinar = self._warrant.webinar(visit)
        if webinar.in_session(visit.now) or webinar.ends <= visit.now:
            raise bad_request("The webinar is in progress or has ended.")
        self._world.change_webinar(webinar.webinar_key, **parse_changes(visit.body))
        return Answer(202)

    def _cancel(self, visit: Visit) -> Answer:
        """A series goes as a whole unless deleteAll=false."""
        webinar = self._warrant.webinar(visit)
        doomed = [webinar]
        if webinar.recurrence_key and visit.query.get("deleteAll", "true").lower() != "false":
            doomed = [w for w in self._world.webinars() if w.recurrence_key == webinar.recurrence_key]
        if any(w.in_session(visit.now) for w in doomed):
            raise application_error(409, "WebinarInSession", "The webinar is in session.")
        for w in doomed:
            self._world.cancel_webinar(w.webinar_key)
        return Answer(204)


def _belongs(webinar: Webinar, organizer_key: str | None) -> bool:
    return organizer_key is None or webinar.hosted_by(organizer_key)


def _within(webinar: Webinar, asked: Span) -> bool:
    """By the webinar's own times, not by when it was made."""
    return any(span.overlaps(asked) for span in webinar.times)
