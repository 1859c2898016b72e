"""Pages of a list, and the ways a list can lie. Pure.

A lie takes the honest list and gives another answer to one request; None says that it found nothing to spoil.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page, counted from 0. `total` is what the answer says, `items` what it holds."""

    items: Sequence[Item]
    total: int
    number: int
    size: int

    @property
    def pages(self) -> int:
        return -(-self.total // self.size) if self.size else 0


def cut(items: Sequence[Item], number: int, size: int) -> Page[Item]:
    return Page(items[number * size : (number + 1) * size], len(items), number, size)


Lie = Callable[[Sequence[Item], Page[Item], Random], Page[Item] | None]


def moved_items(items: Sequence[Item], page: Page[Item], rng: Random) -> Page[Item] | None:
    """The whole list turned by some places: a walk over it meets some items twice and others never."""
    if len(items) < 2:
        return None
    by = rng.randrange(1, len(items))
    return cut([*items[by:], *items[:by]], page.number, page.size)


def repeated_items(items: Sequence[Item], page: Page[Item], rng: Random) -> Page[Item] | None:
    """One more copy of some item of the list, on top of what belongs here."""
    return replace(page, items=[*page.items, rng.choice(items)]) if items else None


def short_page(items: Sequence[Item], page: Page[Item], rng: Random) -> Page[Item] | None:
    """Some items of this page are left out, while the total still counts them."""
    if not page.items:
        return None
    return replace(page, items=page.items[: rng.randrange(len(page.items))])


def total_lies(items: Sequence[Item], page: Page[Item], rng: Random) -> Page[Item] | None:
    wrong = rng.choice((0, len(items) - 1, len(items) + 1, len(items) * 3 + 7))
    return replace(page, total=wrong) if wrong >= 0 and wrong != len(items) else None


def missing_item(items: Sequence[Item], page: Page[Item], rng: Random) -> Page[Item] | None:
    """A list that is sound in itself, without one of its items."""
    if not items:
        return None
    gone = rng.randrange(len(items))
    return cut([*items[:gone], *items[gone + 1 :]], page.number, page.size)


def empty_list(items: Sequence[Item], page: Page[Item], rng: Random) -> Page[Item] | None:
    return Page([], 0, page.number, page.size) if items else None


LIES: dict[str, Callable[[Sequence[object], Page[object], Random], Page[object] | None]] = {
    "moved-items": moved_items,
    "repeated-items": repeated_items,
    "short-page": short_page,
    "total-lies": total_lies,
    "missing-item": missing_item,
    "empty-list": empty_list,
}
