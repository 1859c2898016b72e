"""What the process knows of connections and targets follows what was committed."""

from __future__ import annotations

from poller.roster import HISTORY, MEETINGS, WEBINARS, Roster, hold_of, root_of
from state.records import ConnectionState, Phase, Scope, Target

PEOPLE = Scope("registrant", "4")


def target(connection: str = "acme", **fields) -> Target:
    return Target(connection, PEOPLE, **fields)


def test_an_unknown_connection_is_one_without_a_past():
    roster = Roster([ConnectionState("acme", organizer_key="1")])
    assert roster.connection("acme").organizer_key == "1"
    assert roster.connection("beta") == ConnectionState("beta")


def test_what_is_learned_leaves_what_was_polled():
    roster = Roster(targets=[target(title="Old", polled_at=5.0, digest=b"x", size=3, phase=Phase.OPEN)])
    roster.learn(target(title="New", ends_at=9.0, phase=Phase.NEW))
    assert roster.target("acme", PEOPLE) == target(
        title="New", ends_at=9.0, polled_at=5.0, digest=b"x", size=3, phase=Phase.OPEN
    )


def test_the_phase_of_a_scope_is_that_of_all_who_hold_it():
    roster = Roster(targets=[target("acme", phase=Phase.OPEN)])
    roster.learn(target("beta", phase=Phase.BASELINE))
    assert roster.target("beta", PEOPLE).phase is Phase.OPEN
    roster.set_phase(PEOPLE, Phase.NEW)
    assert {roster.target(name, PEOPLE).phase for name in ("acme", "beta")} == {Phase.NEW}


def test_holders_come_in_the_order_in_which_they_found_it():
    roster = Roster(targets=[target("beta"), target("acme")])
    assert roster.holders(PEOPLE) == ("beta", "acme")
    roster.drop("beta", PEOPLE)
    roster.drop("beta", PEOPLE)
    assert roster.holders(PEOPLE) == ("acme",)
    assert roster.target("beta", PEOPLE) is None


def test_the_last_poll_of_a_scope_is_that_of_any_holder():
    roster = Roster(targets=[target("beta", polled_at=7.0), target("acme"), Target("acme", WEBINARS, polled_at=9.0)])
    assert roster.polled_at(PEOPLE) == 7.0
    assert roster.polled_at(Scope("registrant", "nobody's")) == 0.0
    assert {one.scope for one in roster.of("acme")} == {PEOPLE, WEBINARS}
    assert len(list(roster)) == 3


def test_every_scope_has_a_root_and_belongs_to_something_held():
    assert [root_of(scope) for scope in (PEOPLE, Scope("session", "4"), Scope("participant", "4/7"))] == [WEBINARS] * 3
    assert hold_of(Scope("participant", "4/7")) == hold_of(Scope("session", "4")) == hold_of(WEBINARS, "4") == PEOPLE
    assert root_of(Scope("meeting_attendee", "5")) == HISTORY
    assert hold_of(MEETINGS, "5") == hold_of(HISTORY, "5") == Scope("meeting_attendee", "5")


def test_the_baseline_of_a_list_is_its_own_first_walk():
    roster = Roster([ConnectionState("acme", baseline_at=3.0)], [Target("acme", HISTORY, began_at=5.0)])
    assert [roster.baseline_at("acme", root) for root in (WEBINARS, HISTORY, MEETINGS)] == [3.0, 5.0, None]
    assert roster.own_list("acme", HISTORY).began_at == 5.0
    assert roster.own_list("acme", MEETINGS) is roster.target("acme", MEETINGS)
