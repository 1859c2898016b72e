"""Drawing keys, people and webinars from a seeded generator. Pure: the same state gives the same values."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from poller.simulator.model import Organizer, Registrant, Span, Webinar

# fmt: off
FIRST_NAMES = (
    "Ada", "Bo", "Carla", "Dario", "Edda", "Farid", "Greta", "Hugo", "Ines", "Jaro", "Kaja", "Lior", "Mira",
    "Nils", "Olga", "Pavel", "Quinn", "Rosa", "Sami", "Tilda", "Umar", "Vera", "Wim", "Xenia", "Yara",
    "Zeno",
)
LAST_NAMES = (
    "Abel", "Brandt", "Castro", "Dorn", "Evers", "Falk", "Gomez", "Hahn", "Ivanov", "Jansen", "Keller",
    "Lind", "Moreau", "Novak", "Okafor", "Petrov", "Quist", "Rossi", "Silva", "Tanaka", "Ulrich", "Varga",
    "Weber", "Young", "Zeman",
)
# fmt: on
TOPICS = (
    "Getting started",
    "Working in the field",
    "Planning a year ahead",
    "Questions and answers",
    "New in this release",
    "Safety at work",
    "Numbers that matter",
    "From paper to screen",
    "A look behind the scenes",
    "Selling without pushing",
)
TIME_ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "UTC")
EXPERIENCES = ("classic", "classic", "classic", "broadcast", "simulive")


def draw_key(rng: Random) -> str:
    """19 digits: above 2**53, so a reader who goes through a double loses digits; fits a signed 64-bit."""
    return str(rng.randrange(10**18, 9 * 10**18))


def draw_organizer(rng: Random, account_key: str, number: int, *, admin: bool = False) -> Organizer:
    first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
    return Organizer(
        organizer_key=draw_key(rng),
        account_key=account_key,
        first_name=first,
        last_name=last,
        email=f"{first}.{last}.host{number}@example.com".lower(),
        pat=f"simulated-pat-{rng.getrandbits(128):032x}",
        admin=admin,
    )


def draw_start(rng: Random, now: datetime) -> datetime:
    """A full hour between one and ninety days ahead."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    return hour + timedelta(hours=rng.randrange(24, 90 * 24))


def hour_from(start: datetime) -> Span:
    return Span(start, start + timedelta(hours=1))


def draw_webinar(rng: Random, organizer: Organizer, times: tuple[Span, ...], *, manual_share: float) -> Webinar:
    webinar_key = draw_key(rng)
    return Webinar(
        webinar_key=webinar_key,
        webinar_id=str(rng.randrange(10**8, 10**9)),
        organizer_key=organizer.organizer_key,
        account_key=organizer.account_key,
        subject=f"{rng.choice(TOPICS)} {webinar_key[-4:]}",
        description=f"{rng.choice(TOPICS)}, in an hour.",
        times=times,
        time_zone=rng.choice(TIME_ZONES),
        approval="MANUAL" if rng.random() < manual_share else "AUTOMATIC",
        experience=rng.choice(EXPERIENCES),
    )


def draw_registrant(rng: Random, webinar: Webinar, registered: datetime, status: str) -> Registrant:
    """A person nobody else is: the e-mail holds most of the registrant's key."""
    key, first, last = draw_key(rng), rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
    return Registrant(
        registrant_key=key,
        webinar_key=webinar.webinar_key,
        first_name=first,
        last_name=last,
        email=f"{first}.{last}.{key[-14:]}@example.com".lower(),
        status=status,
        registered=registered,
        time_zone=webinar.time_zone,
    )


def first_status(webinar: Webinar) -> str:
    return "WAITING" if webinar.approval == "MANUAL" else "APPROVED"


def settled_status(rng: Random, webinar: Webinar) -> str:
    """The status of somebody who registered some time ago."""
    if webinar.approval != "MANUAL":
        return "APPROVED"
    return rng.choices(("APPROVED", "WAITING", "DENIED"), (7, 2, 1))[0]
