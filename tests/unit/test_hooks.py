"""Which trigger a subscription comes to, as the triggers of the settings are now."""

from __future__ import annotations

from typing import Any

import pytest

from poller.hooks import Subscribed, Wish, sink_of, trigger_of
from poller.testing.events import draft
from poller.triggers import Everything, Triggers
from state.events import Draft, as_event

URL = "https://example.com/hook"
SIGNUPS = Everything(name="signups", on=("registrant.added",), when="data.status == 'APPROVED' || length(`1`) > `2`")


def hears(wish: Wish, told: Draft, *settings: Everything, title: str = "Intro") -> bool:
    known = Subscribed("id", sink_of(wish.url), wish, 0.0, "whsec_")
    trigger = trigger_of(known, {trigger.name: trigger for trigger in settings})
    if trigger is None:
        return False
    routes = Triggers([trigger], []).routes(as_event(told), ["acme"], title, 0, ())
    assert {route.sink for route in routes} <= {sink_of(URL)}
    return bool(routes)


def person(**fields: Any) -> Draft:
    return draft(1, webinar="77", webinarKey="77", organizerKey="5", **fields)


@pytest.mark.parametrize(
    ("wish", "heard"),
    [
        (Wish(URL), True),
        (Wish(URL, types=("registrant.*",)), True),
        (Wish(URL, types=("webinar.*",)), False),
        (Wish(URL, "OnNewRegistration"), True),
        (Wish(URL, "OnNewWebinar"), False),
        (Wish(URL, webinar="77"), True),
        (Wish(URL, webinar="78"), False),
        (Wish(URL, organizer="5"), True),
        (Wish(URL, "OnNewRegistration", webinar="77", organizer="6"), False),
    ],
)
def test_without_a_trigger_of_the_settings_types_and_keys_choose(wish: Wish, heard: bool) -> None:
    assert hears(wish, person()) is heard


def test_a_trigger_of_the_settings_is_narrowed_and_never_widened() -> None:
    approved, waiting = person(status="APPROVED"), person(status="WAITING")
    simple = Everything(name="signups", on=("registrant.added",), when="data.status == 'APPROVED'")
    assert hears(Wish(URL, "signups"), approved, simple)
    assert not hears(Wish(URL, "signups"), waiting, simple)
    assert hears(Wish(URL, "signups", webinar="77"), approved, simple)
    assert not hears(Wish(URL, "signups", webinar="78"), approved, simple)
    assert not hears(Wish(URL, "signups", organizer="6"), approved, simple)


def test_a_condition_that_fails_counts_as_true_and_still_for_the_chosen_webinar_only() -> None:
    waiting = person(status="WAITING")
    assert hears(Wish(URL, "signups", webinar="77"), waiting, SIGNUPS)
    assert not hears(Wish(URL, "signups", webinar="78"), waiting, SIGNUPS)


def test_a_trigger_that_the_settings_have_lost_sends_nothing_until_it_is_back() -> None:
    assert not hears(Wish(URL, "signups"), person(status="APPROVED"))
    assert hears(Wish(URL, "signups"), person(status="APPROVED"), SIGNUPS)


def test_one_url_is_one_sink_whose_name_does_not_show_it() -> None:
    assert sink_of(URL) == sink_of(URL) != sink_of(URL + "2")
    assert "example" not in sink_of(URL)
    assert "example" not in repr(Wish(URL))
