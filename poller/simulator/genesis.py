"""The world on its first day: who organizes, which webinars exist, who is registered. Pure and repeatable.

Registrants of a webinar are drawn only when somebody looks at that webinar, and drawn again when the truth
about the start is asked for: a million of them cost nothing until then.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from poller.simulator.draws import (
    draw_key,
    draw_organizer,
    draw_registrant,
    draw_start,
    draw_webinar,
    hour_from,
    settled_status,
)
from poller.simulator.model import Organizer, Registrant, Span, Webinar
from poller.simulator.options import WorldOptions


def first_people(options: WorldOptions) -> tuple[Organizer, tuple[Organizer, ...]]:
    """The account's administrator, who hosts nothing, and the organizers."""
    rng = Random(f"{options.seed}:people")
    account_key = draw_key(rng)
    admin = draw_organizer(rng, account_key, 0, admin=True)
    return admin, tuple(draw_organizer(rng, account_key, n + 1) for n in range(options.organizers))


def first_webinars(options: WorldOptions, organizers: tuple[Organizer, ...], start: datetime) -> list[Webinar]:
    rng = Random(f"{options.seed}:webinars")
    webinars: list[Webinar] = []
    while len(webinars) < options.webinars:
        organizer = organizers[len(webinars) % len(organizers)]
        webinars += _draw_family(rng, options, organizer, organizers, start)
    return webinars[: options.webinars]


def _draw_family(
    rng: Random,
    options: WorldOptions,
    organizer: Organizer,
    organizers: tuple[Organizer, ...],
    start: datetime,
) -> list[Webinar]:
    """One single webinar or sequence, or the two occurrences of a series."""
    past, fate = rng.random() < options.past_share, rng.random()
    begin = draw_start(rng, start - timedelta(days=31) if past else start)
    if past:
        begin = min(begin, start - timedelta(hours=rng.randrange(2, 30 * 24)))
    weekly = tuple(hour_from(begin + timedelta(weeks=week)) for week in range(3))
    webinar = draw_webinar(rng, organizer, weekly[:1], manual_share=options.manual_share)
    webinar = replace(webinar, coorganizers=_draw_coorganizers(rng, options, organizer, organizers))
    if past or fate >= options.series_share + options.sequence_share:
        return [webinar]
    if fate >= options.series_share:
        return [replace(webinar, times=weekly, recurrence="sequence")]
    return series(rng, webinar, weekly[:2])


def _draw_coorganizers(
    rng: Random, options: WorldOptions, organizer: Organizer, organizers: tuple[Organizer, ...]
) -> tuple[str, ...]:
    others = [other.organizer_key for other in organizers if other != organizer]
    if not others or rng.random() >= options.coorganized_share:
        return ()
    return (rng.choice(others),)


def series(rng: Random, webinar: Webinar, times: tuple[Span, ...]) -> list[Webinar]:
    """One webinar per time, each with its own key, all with one recurrence key."""
    shared = replace(webinar, recurrence="series", recurrence_key=draw_key(rng))
    keys = [webinar.webinar_key, *(draw_key(rng) for _ in times[1:])]
    return [replace(shared, webinar_key=key, times=(span,)) for key, span in zip(keys, times, strict=True)]


def first_count(options: WorldOptions, position: int) -> int:
    """How many are registered at the start for the webinar at this position."""
    share, rest = divmod(options.registrants, max(options.webinars, 1))
    return share + (1 if position < rest else 0)


def first_registrants(options: WorldOptions, webinar: Webinar, position: int, start: datetime) -> dict[str, Registrant]:
    """By key, oldest registration first, all of them between one minute and sixty days before the start."""
    rng = Random(f"{options.seed}:registrants:{webinar.webinar_key}")
    count = first_count(options, position)
    ages = sorted((rng.randrange(60, 60 * 86400) for _ in range(count)), reverse=True)
    drawn = (
        draw_registrant(rng, webinar, start - timedelta(seconds=age), settled_status(rng, webinar)) for age in ages
    )
    return {registrant.registrant_key: registrant for registrant in drawn}
