"""Co-organizers and panelists. Shapes and rules: the vendor's OpenAPI document, tags Co-organizers and Panelists."""

from __future__ import annotations

import msgspec

from poller.simulator.answers import Answer, bad_request, json_answer, unknown
from poller.simulator.desk import Operation, Visit
from poller.simulator.draws import draw_key
from poller.simulator.model import Organizer, Webinar
from poller.simulator.rooms import Helper
from poller.simulator.shapes import JsonObject, Shapes
from poller.simulator.warrant import Warrant
from poller.simulator.webinar_request import decode
from poller.simulator.world import World


class NewCoorganizer(msgspec.Struct, rename="camel"):
    """Somebody with a login by `organizer_key`, somebody without one by name and e-mail."""

    external: bool
    organizer_key: str | None = None
    given_name: str | None = None
    email: str | None = None


class NewPanelist(msgspec.Struct):
    name: str
    email: str


class TeamApi:
    def __init__(self, world: World, shapes: Shapes) -> None:
        self._world, self._shapes = world, shapes
        self._warrant = Warrant(world)

    def operations(self) -> list[Operation]:
        webinar = "/G2W/rest/v2/organizers/{organizerKey}/webinars/{webinarKey}"
        many, panel = f"{webinar}/coorganizers", f"{webinar}/panelists"
        one, panelist = f"{many}/{{coorganizerKey}}", f"{panel}/{{panelistKey}}"
        invited, asked = f"{one}/resendInvitation", f"{panelist}/resendInvitation"
        return [
            Operation("getCoorganizers", "GET", many, self._coorganizers),
            Operation("createCoorganizers", "POST", many, self._add_coorganizers),
            Operation("deleteCoorganizer", "DELETE", one, self._drop_coorganizer),
            Operation("resendCoorganizerInvitation", "POST", invited, self._remind_coorganizer),
            Operation("getPanelists", "GET", panel, self._panelists),
            Operation("createPanelists", "POST", panel, self._add_panelists),
            Operation("deleteWebinarPanelist", "DELETE", panelist, self._drop_panelist),
            Operation("resendPanelistInvitation", "POST", asked, self._remind_panelist),
        ]

    # ---- co-organizers

    def _coorganizers(self, visit: Visit) -> Answer:
        webinar = self._warrant.webinar(visit)
        inside = [self._insider(webinar, self._world.hosts[key]) for key in webinar.coorganizers]
        outside = self._world.rooms.of(webinar.webinar_key).outsiders.values()
        return json_answer([*inside, *(_outsider(webinar, helper) for helper in outside)])

    def _add_coorganizers(self, visit: Visit) -> Answer:
        """All of them or, where one is not sound, nobody."""
        webinar = self._warrant.webinar(visit)
        wanted = decode(visit.body, list[NewCoorganizer])
        inside = [self._login(one, webinar) for one in wanted if not one.external]
        outside = [self._stranger(one) for one in wanted if one.external]
        self._world.rooms.of(webinar.webinar_key).outsiders.update({helper.key: helper for helper in outside})
        keys = dict.fromkeys((*webinar.coorganizers, *(person.organizer_key for person in inside)))
        self._world.set_coorganizers(webinar.webinar_key, tuple(keys))
        made = [*(self._insider(webinar, p) for p in inside), *(_outsider(webinar, helper) for helper in outside)]
        return json_answer(made, 201)

    def _login(self, wanted: NewCoorganizer, webinar: Webinar) -> Organizer:
        person = self._world.hosts.get(wanted.organizer_key or "")
        if person is None or person.organizer_key == webinar.organizer_key:
            raise bad_request("organizerKey must be that of another organizer of the account.")
        return person

    def _stranger(self, wanted: NewCoorganizer) -> Helper:
        if not wanted.given_name or "@" not in (wanted.email or ""):
            raise bad_request("An external co-organizer needs givenName and email.")
        return Helper(draw_key(self._world.rng), wanted.given_name, wanted.email or "")

    def _drop_coorganizer(self, visit: Visit) -> Answer:
        webinar, key = self._warrant.webinar(visit), self._coorganizer(visit)
        if _is_external(visit):
            del self._world.rooms.of(webinar.webinar_key).outsiders[key]
        else:
            rest = tuple(other for other in webinar.coorganizers if other != key)
            self._world.set_coorganizers(webinar.webinar_key, rest)
        return Answer(204)

    def _remind_coorganizer(self, visit: Visit) -> Answer:
        self._coorganizer(visit)
        return Answer(204)

    def _coorganizer(self, visit: Visit) -> str:
        """The key of the path, if it is that of a co-organizer of the kind that `external` says."""
        webinar, key = self._warrant.webinar(visit), visit.path["coorganizerKey"]
        outside = self._world.rooms.of(webinar.webinar_key).outsiders
        if key not in (outside if _is_external(visit) else webinar.coorganizers):
            raise unknown("Co-organizer")
        return key

    def _insider(self, webinar: Webinar, person: Organizer) -> JsonObject:
        key = person.organizer_key
        names: JsonObject = {"surname": person.last_name, "givenName": person.first_name}
        return {"joinLink": _link(webinar, key), "email": person.email, "memberKey": key, "external": False, **names}

    # ---- panelists

    def _panelists(self, visit: Visit) -> Answer:
        webinar = self._warrant.webinar(visit)
        panelists = self._world.rooms.of(webinar.webinar_key).panelists.values()
        return json_answer([self._listed_panelist(webinar, panelist) for panelist in panelists])

    def _add_panelists(self, visit: Visit) -> Answer:
        webinar = self._warrant.webinar(visit)
        wanted = decode(visit.body, list[NewPanelist])
        if not all(one.name and "@" in one.email for one in wanted):
            raise bad_request("A panelist needs name and email.")
        made = [Helper(draw_key(self._world.rng), one.name, one.email) for one in wanted]
        self._world.rooms.of(webinar.webinar_key).panelists.update({helper.key: helper for helper in made})
        return json_answer([{**_named(webinar, helper), "panelistKey": helper.key} for helper in made], 201)

    def _drop_panelist(self, visit: Visit) -> Answer:
        webinar, key = self._warrant.webinar(visit), self._panelist(visit)
        del self._world.rooms.of(webinar.webinar_key).panelists[key]
        return Answer(204)

    def _remind_panelist(self, visit: Visit) -> Answer:
        self._panelist(visit)
        return Answer(204)

    def _panelist(self, visit: Visit) -> str:
        webinar, key = self._warrant.webinar(visit), visit.path["panelistKey"]
        if key not in self._world.rooms.of(webinar.webinar_key).panelists:
            raise unknown("Panelist")
        return key

    def _listed_panelist(self, webinar: Webinar, helper: Helper) -> JsonObject:
        first, _, last = helper.name.partition(" ")
        key = self._shapes.seen_as_number(helper.key)
        return {**_named(webinar, helper), "panelistId": key, "firstName": first, "lastName": last}


def _outsider(webinar: Webinar, helper: Helper) -> JsonObject:
    """Without a surname, as the operation's text says; the schema requires one."""
    link = _link(webinar, helper.key)
    who: JsonObject = {"email": helper.email, "memberKey": helper.key, "givenName": helper.name}
    return {"joinLink": link, "external": True, **who}


def _named(webinar: Webinar, helper: Helper) -> JsonObject:
    return {"name": helper.name, "email": helper.email, "joinLink": _link(webinar, helper.key)}


def _link(webinar: Webinar, key: str) -> str:
    return f"https://global.gotowebinar.com/pjoin/{webinar.webinar_key}/{key[-9:]}"


def _is_external(visit: Visit) -> bool:
    return visit.query.get("external", "false").lower() == "true"
