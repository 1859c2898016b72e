"""The v1 list upcomingWebinars, as client authors describe it, and the ways in which its counts cannot be relied on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from poller.simulator.answers import Answer, application_error, json_answer, not_yours, unrouted
from poller.simulator.desk import Operation, Visit
from poller.simulator.faults import OLD_LIST, FaultPlan
from poller.simulator.model import Registrant, Webinar
from poller.simulator.options import ApiOptions
from poller.simulator.shapes import Shapes
from poller.simulator.truth import ADDED, REMOVED
from poller.simulator.warrant import Warrant
from poller.simulator.world import World

Counts = dict[str, int]  # by webinarKey


class OldListApi:
    """`counts-frozen` keeps a count from the first look at a webinar until a call that the fault does not strike."""

    def __init__(self, world: World, shapes: Shapes, options: ApiOptions, faults: FaultPlan) -> None:
        self._world, self._shapes, self._options, self._faults = world, shapes, options, faults
        self._warrant = Warrant(world)
        self._frozen: Counts = {}

    def operations(self) -> list[Operation]:
        return [Operation(OLD_LIST, "GET", "/G2W/rest/organizers/{organizerKey}/upcomingWebinars", self._upcoming)]

    def _upcoming(self, visit: Visit) -> Answer:
        """Co-organized webinars are in it, and the counts that the new lists lack."""
        if not self._options.old_lists:
            raise unrouted()
        organizer_key = self._warrant.organizer(visit)
        self._refuse(visit)
        webinars = [w for w in self._world.webinars(organizer_key) if w.ends > visit.now]
        counts = self._counts(visit, webinars)
        return json_answer([self._shapes.counted_webinar(w, counts[w.webinar_key], visit.now) for w in webinars])

    def _refuse(self, visit: Visit) -> None:
        fault = visit.fault
        if fault is None or not fault.name.startswith("old-list-"):
            return
        self._faults.strike(fault)
        if fault.name.endswith("403"):
            raise not_yours()
        if fault.name.endswith("404"):
            raise unrouted()
        raise application_error(410, "Gone", "This endpoint is no longer available.")

    def _counts(self, visit: Visit, webinars: list[Webinar]) -> Counts:
        honest = {w.webinar_key: self._world.registrant_count(w.webinar_key) for w in webinars}
        fault = visit.fault
        if fault is None or fault.stage != "old-list":
            self._frozen.clear()
            return honest
        if fault.name == "counts-stale":
            counts = self._earlier(honest, timedelta(seconds=self._faults.counts_seconds))
        else:
            counts = {key: self._frozen.setdefault(key, count) for key, count in honest.items()}
        if counts != honest or fault.name == "counts-frozen":
            self._faults.strike(fault)
        return counts

    def _earlier(self, honest: Mapping[str, int], age: timedelta) -> Counts:
        """What has happened since, taken back."""
        counts = dict(honest)
        for fact in self._world.truth.since(self._world.now - age):
            thing = fact.thing
            if isinstance(thing, Registrant) and thing.webinar_key in counts and fact.kind in (ADDED, REMOVED):
                counts[thing.webinar_key] += -1 if fact.kind == ADDED else 1
        return counts
