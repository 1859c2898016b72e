"""What there is to say about one operation of GoTo, and about all of them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

Where = Literal["path", "query", "header"]
Product = Literal["webinar", "meeting", "room"]

# Where each product's paths begin: the host that serves it, and the prefix behind that.
PREFIXES: Final[dict[Product, str]] = {"webinar": "/G2W/rest/v2", "meeting": "/G2M/rest", "room": "/meeting-room/v1"}

# Parameters (and required fields of bodies) that stand for the connection's own keys when they are left out.
OWN_ORGANIZER: Final = ("organizerKey", "userKey")
OWN_ACCOUNT: Final = ("accountKey",)
OWN: Final = OWN_ORGANIZER + OWN_ACCOUNT

_PLACE: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """`hint` says what it takes (see poller.goto.operations.kinds); `default` is sent when nothing is given."""

    name: str
    where: Where
    hint: Any
    required: bool = False
    default: object = None


@dataclass(frozen=True, slots=True)
class Paging:
    """How a list comes in pages: the parameters for place and size, where its items stand, what tells them apart.

    `offset`: the place counts items, and nothing says how many there are.
    """

    place: str
    size: str
    items: tuple[str, ...]
    identity: tuple[str, ...]
    item: Any
    offset: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """`path` is that of the vendor's document, below the product's prefix.

    `answer`: the type of its result, None if it has none. `look`: for whoever does not know whether a write was
    carried out, where to find out. `erases`: it takes away for good what nobody can bring back.
    """

    name: str
    group: str
    method: str
    path: str
    summary: str
    answer: Any = None
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    paging: Paging | None = None
    product: Product = "webinar"
    aliases: tuple[str, ...] = ()
    look: str = ""
    erases: bool = False

    @property
    def writes(self) -> bool:
        """Whether it changes anything: all but GET do, and those that search by POST."""
        return bool(self.look)

    @property
    def python_name(self) -> str:
        return snake(self.name)

    @property
    def whole_path(self) -> str:
        return PREFIXES[self.product] + self.path

    def parameter(self, name: str) -> Parameter | None:
        return next((parameter for parameter in self.parameters if parameter.name == name), None)

    @property
    def pattern(self) -> re.Pattern[str]:
        """Matches the whole paths of its calls."""
        return re.compile(_PLACE.sub("[^/]+", self.whole_path))


def snake(name: str) -> str:
    """A name in the vendor's spelling as one of Python's: getWebinars → get_webinars."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
