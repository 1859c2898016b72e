"""One webinar with its registrants, as the world keeps them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from poller.simulator.model import Registrant, Webinar


class UnknownKeyError(LookupError):
    """No such webinar, registrant or organizer (any more)."""


class AlreadyRegisteredError(ValueError):
    """The e-mail is registered for this webinar already; `registrant` is the one that has it."""

    def __init__(self, registrant: Registrant) -> None:
        super().__init__("this e-mail is registered for this webinar already")
        self.registrant = registrant


@dataclass(slots=True)
class Roster:
    """Those who registered before the first day (`expected` of them) are drawn when first needed."""

    webinar: Webinar
    first_day: Callable[[], dict[str, Registrant]] | None = None
    expected: int = 0
    revision: int = 0  # changes whenever the registrants do
    former_keys: dict[str, str] = field(default_factory=dict)  # e-mail → key of somebody removed
    _people: dict[str, Registrant] = field(default_factory=dict)
    _emails: dict[str, str] | None = None  # e-mail → key, made when first needed

    def registrants(self) -> dict[str, Registrant]:
        """By key, in the order of becoming visible."""
        if self.first_day is not None:
            self._people, self.first_day = self.first_day(), None
        return self._people

    def size(self) -> int:
        return self.expected if self.first_day is not None else len(self._people)

    def holder(self, email: str) -> Registrant | None:
        """Who is registered with this e-mail."""
        if self._emails is None:
            self._emails = {person.email: key for key, person in self.registrants().items()}
        key = self._emails.get(email)
        return None if key is None else self._people[key]

    def put(self, person: Registrant) -> None:
        self.registrants()[person.registrant_key] = person
        if self._emails is not None:
            self._emails[person.email] = person.registrant_key
        self.revision += 1

    def drop(self, registrant_key: str) -> Registrant | None:
        """Take somebody out; None if there is nobody with this key."""
        person = self.registrants().pop(registrant_key, None)
        if person is None:
            return None
        if self._emails is not None:
            self._emails.pop(person.email, None)
        self.former_keys[person.email] = registrant_key
        self.revision += 1
        return person
