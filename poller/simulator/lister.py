"""Reading ranges and pages from a query, answering pages, and carrying out the list fault of a call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast

from poller.simulator.answers import Answer, bad_request, json_answer
from poller.simulator.desk import Visit
from poller.simulator.faults import FaultPlan
from poller.simulator.listing import LIES, Lie, Page, cut
from poller.simulator.model import Span
from poller.simulator.options import ApiOptions
from poller.simulator.shapes import JsonObject

LARGEST_PAGE = 200
DEFAULT_SIZE = 20
UNPAGED = 2**31  # the size of the one page of a bare array
EVER = Span(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))

Item = TypeVar("Item")


class Lister:
    def __init__(self, faults: FaultPlan, options: ApiOptions) -> None:
        self._faults, self._options = faults, options

    def place(self, visit: Visit, *, size_name: str, default: int) -> tuple[int, int]:
        """Page number and size asked for. What a size above 200 does is documented nowhere: an option."""
        number = whole(visit, "page", 0, least=0)
        size = whole(visit, size_name, default, least=1)
        if size > LARGEST_PAGE and self._options.oversized_pages == "refuse":
            raise bad_request(f"{size_name} must not be greater than {LARGEST_PAGE}.")
        return number, min(size, LARGEST_PAGE)

    def sized_page(
        self, visit: Visit, current: Callable[[], list[Item]], earlier: Callable[[timedelta], list[Item]]
    ) -> Page[Item]:
        """The page that `page` and `size` of the query ask for."""
        number, size = self.place(visit, size_name="size", default=DEFAULT_SIZE)
        return self.page(visit, current, earlier, number, size)

    def hal(self, page: Page[Item], name: str, shape: Callable[[Item], JsonObject]) -> Answer:
        """A HAL page; `_embedded` is left out when it would be empty."""
        items = [shape(item) for item in page.items]
        place = {
            "size": page.size,
            "totalElements": page.total,
            "totalPages": page.pages,
            "number": page.number,
        }
        return json_answer({**({"_embedded": {name: items}} if items else {}), "page": place})

    def bare(
        self,
        visit: Visit,
        shown: Callable[[datetime], list[Item]],
        shape: Callable[[Item], JsonObject],
    ) -> Answer:
        """A list that knows no pages, as a bare array. `shown` has its items at a moment."""
        page = self.page(visit, lambda: shown(visit.now), lambda age: shown(visit.now - age), 0, UNPAGED)
        return json_answer([shape(item) for item in page.items])

    def page(
        self,
        visit: Visit,
        current: Callable[[], list[Item]],
        earlier: Callable[[timedelta], list[Item]],
        number: int,
        size: int,
    ) -> Page[Item]:
        """One page of the list as it is, unless this call's fault wants it otherwise."""
        items, fault = current(), visit.fault
        honest = cut(items, number, size)
        if fault is None or fault.stage != "list":
            return honest
        if fault.name == "stale":
            past = earlier(timedelta(seconds=self._faults.stale_seconds))
            lie = cut(past, number, size) if past != items else None
        else:
            lie = cast("Lie[Item]", LIES[fault.name])(items, honest, self._faults.rng)
        if lie is None:
            return honest
        self._faults.strike(fault)
        return lie


def required_range(visit: Visit, start: str = "fromTime", end: str = "toTime") -> Span:
    """The range between these two parameters; leaving one out is a mistake, not an empty list."""
    if start not in visit.query or end not in visit.query:
        raise bad_request(f"{start} and {end} are required.")
    return optional_range(visit, start, end)


def optional_range(visit: Visit, start: str = "fromTime", end: str = "toTime", default: Span = EVER) -> Span:
    """What is left out is taken from `default`, which narrows nothing."""
    return Span(_moment(visit, start, default.start), _moment(visit, end, default.end))


def _moment(visit: Visit, name: str, default: datetime) -> datetime:
    text = visit.query.get(name)
    if text is None:
        return default
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise bad_request(f"{name} is not a date in ISO 8601.") from None
    if moment.tzinfo is None:
        raise bad_request(f"{name} lacks its offset from UTC.")
    return moment


def whole(visit: Visit, name: str, default: int, *, least: int) -> int:
    text = visit.query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or int(text) < least:
        raise bad_request(f"{name} must be a whole number of at least {least}.")
    return int(text)
