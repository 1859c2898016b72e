"""Registrants: list, read, register, remove. Shapes and rules: the vendor's OpenAPI document, tag Registrants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec

from poller.simulator.answers import Answer, application_error, bad_request, json_answer, unknown
from poller.simulator.desk import Operation, Visit
from poller.simulator.lister import UNPAGED, Lister
from poller.simulator.model import Registrant
from poller.simulator.registration_form import answered, form_of
from poller.simulator.roster import AlreadyRegisteredError, UnknownKeyError
from poller.simulator.shapes import Shapes
from poller.simulator.warrant import Warrant
from poller.simulator.world import World

BASIC_ACCEPT = "application/vnd.citrix.g2wapi-v1.1+json"
DEFAULT_LIMIT = 100  # when only `page` is sent; no document says
KEPT_PAGES = 10_000

Fields = dict[str, object]


class NewRegistrant(msgspec.Struct, rename="camel"):
    """The three fields that every registration needs."""

    first_name: str
    last_name: str
    email: str


class RegistrantApi:
    def __init__(self, world: World, shapes: Shapes, lister: Lister) -> None:
        self._world, self._shapes, self._lister = world, shapes, lister
        self._warrant = Warrant(world)
        self._pages: dict[tuple[str, int, int], tuple[int, bytes]] = {}  # (webinar, page, size) → revision, JSON

    def operations(self) -> list[Operation]:
        base = "/G2W/rest/v2/organizers/{organizerKey}/webinars/{webinarKey}/registrants"
        one = f"{base}/{{registrantKey}}"
        return [
            Operation("getAllRegistrantsForWebinar", "GET", base, self._list),
            Operation("createRegistrant", "POST", base, self._create),
            Operation("getRegistrationFields", "GET", f"{base}/fields", self._fields),  # before any registrantKey
            Operation("getRegistrant", "GET", one, self._get),
            Operation("deleteRegistrant", "DELETE", one, self._delete),
        ]

    def _list(self, visit: Visit) -> Answer:
        """A bare array, or with `page` or `limit` (either of them) an object that holds one page."""
        webinar_key = self._warrant.webinar(visit).webinar_key
        paged = "page" in visit.query or "limit" in visit.query
        place = (0, UNPAGED)
        if paged:
            place = self._lister.place(visit, size_name="limit", default=DEFAULT_LIMIT)
        if visit.fault is None:
            return Answer(body=self._kept(visit, webinar_key, place))
        return Answer(body=self._encoded(visit, webinar_key, place))

    def _encoded(self, visit: Visit, webinar_key: str, place: tuple[int, int]) -> bytes:
        page = self._lister.page(visit, self._current(webinar_key), self._earlier(webinar_key), *place)
        items = [self._shapes.listed_registrant(person) for person in page.items]
        if page.size == UNPAGED:
            return msgspec.json.encode(items)
        sizes = {"total": page.total, "page": page.number, "limit": page.size, "pageSize": len(items)}
        return msgspec.json.encode({"data": items, **sizes})

    def _kept(self, visit: Visit, webinar_key: str, place: tuple[int, int]) -> bytes:
        """Encoding a thousand registrants takes milliseconds; what has not changed is encoded once."""
        revision = self._world.registrants_revision(webinar_key)
        known = self._pages.get((webinar_key, *place))
        if known is not None and known[0] == revision:
            return known[1]
        body = self._encoded(visit, webinar_key, place)
        if len(self._pages) >= KEPT_PAGES:
            self._pages.clear()
        self._pages[webinar_key, *place] = (revision, body)
        return body

    def _current(self, webinar_key: str) -> Callable[[], list[Registrant]]:
        return lambda: list(self._world.registrants(webinar_key).values())

    def _earlier(self, webinar_key: str) -> Callable[[timedelta], list[Registrant]]:
        return lambda age: self._world.registrants_as_of(webinar_key, self._world.now - age)

    def _get(self, visit: Visit) -> Answer:
        webinar = self._warrant.webinar(visit)
        return json_answer(self._shapes.registrant_by_key(self._find(visit, webinar.webinar_key), webinar))

    def _find(self, visit: Visit, webinar_key: str) -> Registrant:
        try:
            return self._world.registrant(webinar_key, visit.path["registrantKey"])
        except UnknownKeyError:
            raise unknown("Registrant") from None

    def _fields(self, visit: Visit) -> Answer:
        return json_answer(form_of(self._warrant.webinar(visit)))

    def _create(self, visit: Visit) -> Answer:
        webinar = self._warrant.webinar(visit)
        person, details = _parse(visit.body)
        basic = BASIC_ACCEPT in visit.headers.get("Accept", "")
        try:
            registrant = self._world.register(
                webinar.webinar_key,
                first_name=person.first_name,
                last_name=person.last_name,
                email=person.email,
                details={} if basic else answered(webinar, details),
            )
        except AlreadyRegisteredError as error:
            known = self._shapes.registered(error.registrant)
            raise application_error(409, "AlreadyRegistered", "The user is already registered.", **known) from None
        more = {"status": registrant.status, "asset": True}
        return json_answer({**self._shapes.registered(registrant), **more}, 201)

    def _delete(self, visit: Visit) -> Answer:
        webinar = self._warrant.webinar(visit)
        person = self._find(visit, webinar.webinar_key)
        if webinar.ends <= visit.now:
            raise bad_request("Registrants of past webinars cannot be removed.")
        self._world.remove_registrant(webinar.webinar_key, person.registrant_key)
        return Answer(204)


def _parse(body: bytes) -> tuple[NewRegistrant, Fields]:
    try:
        person = msgspec.json.decode(body, type=NewRegistrant)
        fields = msgspec.json.decode(body, type=Fields)
    except msgspec.DecodeError as error:
        raise bad_request(f"Invalid registrant: {error}") from error
    if not (person.first_name and person.last_name and "@" in person.email):
        raise bad_request("firstName, lastName and a valid email are required.")
    return person, {name: fields[name] for name in fields if name not in ("firstName", "lastName", "email")}
