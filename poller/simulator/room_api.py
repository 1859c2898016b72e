"""Around one webinar: its times, audio settings and start address.

Shapes and rules: the vendor's OpenAPI document, tag Webinars.
"""

from __future__ import annotations

import msgspec

from poller.simulator.answers import Answer, bad_request, json_answer
from poller.simulator.desk import Operation, Visit
from poller.simulator.model import Webinar
from poller.simulator.rooms import Audio, AudioType
from poller.simulator.shapes import JsonObject, times_of
from poller.simulator.warrant import Warrant
from poller.simulator.webinar_request import decode
from poller.simulator.world import World


class Countries(msgspec.Struct, rename="camel"):
    toll_countries: tuple[str, ...] = ()
    toll_free_countries: tuple[str, ...] = ()


class NewAudio(msgspec.Struct, rename="camel"):
    type: AudioType
    pstn_info: Countries | None = None
    private_info: dict[str, str] | None = None


class RoomApi:
    def __init__(self, world: World) -> None:
        self._world = world
        self._warrant = Warrant(world)

    def operations(self) -> list[Operation]:
        v2 = "/G2W/rest/v2"
        webinar = f"{v2}/organizers/{{organizerKey}}/webinars/{{webinarKey}}"
        return [
            Operation("getWebinarMeetingTimes", "GET", f"{webinar}/meetingtimes", self._times),
            Operation("getAudioInformation", "GET", f"{webinar}/audio", self._audio),
            Operation("updateAudioInformation", "POST", f"{webinar}/audio", self._set_audio),
            Operation("getStartUrl", "GET", f"{v2}/webinars/{{webinarKey}}/startUrl", self._start_url),
        ]

    def _times(self, visit: Visit) -> Answer:
        return json_answer(times_of(self._warrant.webinar(visit).times))

    def _audio(self, visit: Visit) -> Answer:
        webinar = self._warrant.webinar(visit)
        return json_answer(_heard(webinar, self._world.rooms.of(webinar.webinar_key).audio))

    def _set_audio(self, visit: Visit) -> Answer:
        webinar = self._warrant.webinar(visit)
        self._world.rooms.of(webinar.webinar_key).audio = _parse_audio(visit.body)
        return Answer(204)

    def _start_url(self, visit: Visit) -> Answer:
        """Whoever has it can start the webinar."""
        webinar = self._warrant.hosted(visit)
        return json_answer({"startUrl": f"https://global.gotowebinar.com/host/{webinar.webinar_key}?token=simulated"})


def _parse_audio(body: bytes) -> Audio:
    request = decode(body, NewAudio)
    if request.type == "Private":
        if not (request.private_info or {}).get("attendee"):
            raise bad_request("privateInfo needs the attendees' number.")
        return Audio("Private", toll=(), private=request.private_info or {})
    countries = request.pstn_info
    if countries is None:
        return Audio(request.type)
    if not (countries.toll_countries or countries.toll_free_countries):
        raise bad_request("pstnInfo needs tollCountries, tollFreeCountries or both.")
    return Audio(request.type, countries.toll_countries, countries.toll_free_countries)


def _heard(webinar: Webinar, audio: Audio) -> JsonObject:
    if audio.type == "Private":
        return {"type": audio.type, "privateInfo": audio.private}
    countries = dict.fromkeys((*audio.toll, *audio.toll_free))
    return {
        "type": audio.type,
        "confCallNumbers": {country: _numbers(webinar, audio, country) for country in countries},
    }


def _numbers(webinar: Webinar, audio: Audio, country: str) -> JsonObject:
    """`toll` is there for every country: the schema requires it."""
    digits = webinar.webinar_id
    codes = {role: f"{place}{digits[:8]}" for place, role in enumerate(("organizer", "panelist", "attendee"), 1)}
    free = {"tollFree": f"+1 800 555 {digits[-4:]}"} if country in audio.toll_free else {}
    return {"accessCodes": codes, "toll": f"+1 555 {digits[:3]} {digits[-4:]}", **free}
