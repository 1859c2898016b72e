"""Contract of a store, part four: switches, tokens, calls, people and retention."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from state.delivery import DeliveryState
from state.errors import StateError
from state.records import Presence, Scope
from state.store import Pause, PollCommit, Select, Store
from tests.contracts.store_samples import (
    DAY,
    PEOPLE,
    T0,
    WEBINARS,
    Now,
    body_of,
    draft,
    journal_row,
    keys_leased,
    leased,
    owing,
    row,
    settled,
    target,
)

EMAIL = "Ana.Pérez@example.com"


class Upkeep:
    # ── what the loops have learnt ───────────────────────────────────────────────────────────────────────────────────

    async def test_what_is_remembered_under_a_name_is_the_last_that_was_said(self, store: Store) -> None:
        assert await store.memory("rates") is None
        await store.remember("rates", "[1]")
        await store.remember("rates", "[2]")
        await store.remember("other", "[3]")
        assert await store.memory("rates") == "[2]"

    # ── pauses and tokens ────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_pause_keeps_the_date_of_its_beginning_until_it_is_resumed(self, store: Store) -> None:
        first = Pause("trigger", "signups", T0, "flood")
        other = Pause("sink", "signups", T0 + 1, "")
        await store.pause(first)
        await store.pause(Pause("trigger", "signups", T0 + 60, "again"))
        await store.pause(other)
        assert await store.pauses() == [other, first]
        assert await store.resume("trigger", "signups") is True
        assert await store.resume("trigger", "signups") is False
        assert await store.pauses() == [other]

    async def test_a_token_is_kept_as_it_was_given_until_it_is_dropped(self, store: Store) -> None:
        assert await store.load_token("acme") is None
        await store.save_token("acme", b"first")
        await store.save_token("acme", b"\x00second")
        await store.save_token("beta", b"other")
        assert await store.load_token("acme") == b"\x00second"
        await store.drop_token("acme")
        await store.drop_token("acme")
        assert await store.load_token("acme") is None
        assert await store.load_token("beta") == b"other"

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_settled_calls_age_from_the_last_answer(self, store: Store, now: Now) -> None:
        block = await store.ledger.reserve("client", "acme", 10)
        now.value += 5
        await store.ledger.settle(block, used=4)
        now.value += 100
        assert await store.ledger.recent("client") == [("acme", 4, 100.0)]

    async def test_an_open_block_counts_in_full_as_spent_just_now(self, store: Store, now: Now) -> None:
        await store.ledger.reserve("client", "acme", 10)
        now.value += 100
        assert await store.ledger.recent("client") == [("acme", 10, 0.0)]

    async def test_an_asked_for_silence_is_kept_and_the_longest_one_counts(self, store: Store, now: Now) -> None:
        assert await store.ledger.pause_left("client") == 0.0
        await store.ledger.keep_pause("client", 90.0)
        await store.ledger.keep_pause("client", 5.0)
        now.value += 30.0
        assert await store.ledger.pause_left("client") == 60.0
        assert await store.ledger.pause_left("another") == 0.0
        now.value += 3600.0
        assert await store.ledger.pause_left("client") == 0.0

    async def test_a_block_in_use_stays_open_however_often_the_ledger_is_read(self, store: Store, now: Now) -> None:
        block = await store.ledger.reserve("client", "acme", 10)
        await store.ledger.recent("client")
        now.value += 100
        assert await store.ledger.recent("client") == [("acme", 10, 0.0)]
        await store.ledger.settle(block, used=1)
        assert await store.ledger.recent("client") == [("acme", 1, 0.0)]

    async def test_an_unused_block_costs_nothing(self, store: Store) -> None:
        block = await store.ledger.reserve("client", "acme", 10)
        await store.ledger.settle(block, used=0)
        assert await store.ledger.recent("client") == []

    async def test_clients_do_not_see_each_others_calls(self, store: Store) -> None:
        await store.ledger.reserve("one", "acme", 3)
        assert await store.ledger.recent("two") == []

    async def test_calls_are_told_hour_by_hour_the_oldest_first(self, store: Store, now: Now) -> None:
        await store.ledger.settle(await store.ledger.reserve("client", "acme", 9), used=3)
        now.value += 2 * 3600
        await store.ledger.settle(await store.ledger.reserve("client", "beta", 9), used=5)
        await store.ledger.settle(await store.ledger.reserve("another", "beta", 9), used=1)
        await store.ledger.recent("client")  # what is buffered is written by now
        hours = await store.calls_by_hour("client")
        assert len(hours) == 24 and (hours[21], hours[22], hours[23]) == (3.0, 0.0, 5.0)
        now.value += DAY
        assert not any(await store.calls_by_hour("client"))

    async def test_calls_older_than_a_day_are_over(self, store: Store, now: Now) -> None:
        await store.ledger.settle(await store.ledger.reserve("client", "acme", 1), used=1)
        now.value += DAY
        assert await store.ledger.recent("client") == []

    async def test_a_clock_that_went_back_makes_no_negative_age_and_no_lasting_debt(
        self, store: Store, now: Now
    ) -> None:
        now.value += 3650 * DAY
        await store.ledger.settle(await store.ledger.reserve("client", "acme", 1), used=1)
        now.value = T0
        assert await store.ledger.recent("client") == [("acme", 1, 0.0)]
        now.value += 10
        assert await store.ledger.recent("client") == [("acme", 1, 10.0)]

    # ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_forgotten_person_leaves_records_events_deliveries_and_dead_letters(self, store: Store) -> None:
        body = body_of(email=EMAIL)
        await store.commit_poll(owing(draft("1", email=EMAIL), draft("2"), records=[row("1", body, revision=3)]))
        await store.commit_poll(owing(draft("1", revision=2, email=EMAIL)))
        (head, *_) = await leased(store)
        await store.settle_deliveries([settled(head, DeliveryState.DEAD, error="400")])

        assert await store.forget(b"hash", EMAIL) == {"records": 1, "events": 2, "deliveries": 2}

        (record,) = (await store.rows(PEOPLE, ["1"])).values()
        assert (record.body, record.revision, record.fingerprint) == (None, 3, b"print of 1")
        assert [json.loads(event.body)["data"] for event in await store.events(Select())] == [{"registrantKey": "2"}]
        assert await keys_leased(store) == ["2"]
        assert await store.deliveries(Select(), ["dead"]) == []
        assert (await store.explain(head.id)).attempts == []
        assert await store.forgotten() == {b"hash"}

    async def test_forgetting_twice_finds_nothing_more(self, store: Store) -> None:
        await store.forget(b"hash", EMAIL)
        assert await store.forget(b"hash", EMAIL) == {"records": 0, "events": 0, "deliveries": 0}
        assert await store.forgotten() == {b"hash"}

    @pytest.mark.parametrize(
        "written",
        [
            pytest.param(body_of(email="ana.pérez@EXAMPLE.com"), id="case and escaped letters"),
            pytest.param(json.dumps({"email": EMAIL}, ensure_ascii=False).encode(), id="plain UTF-8"),
            pytest.param(body_of(email=f" {EMAIL} "), id="blanks around"),
            pytest.param(body_of(responses=[{"answer": "no"}, {"answer": EMAIL}]), id="nested answer"),
        ],
    )
    async def test_an_address_is_found_however_it_is_written(self, store: Store, written: bytes) -> None:
        await store.commit_poll(PollCommit(PEOPLE, records=[row("1", written)]))
        assert (await store.forget(b"hash", EMAIL))["records"] == 1

    @pytest.mark.parametrize("email", ["почта@пример.рф", "ПОЧТА@пример.рф"])
    async def test_an_address_without_one_latin_letter_is_found(self, store: Store, email: str) -> None:
        await store.commit_poll(PollCommit(PEOPLE, records=[row("1", body_of(email="почта@пример.рф"))]))
        assert (await store.forget(b"hash", email))["records"] == 1

    async def test_people_whose_address_only_contains_it_stay(self, store: Store) -> None:
        others = ["mariana.pérez@example.com", "ana.pérez@example.com.mx", "ana.perez@example.com", "x@example.com"]
        rows = [row(str(n), body_of(email=email)) for n, email in enumerate(others)]
        await store.commit_poll(owing(draft("9", email=others[0]), records=rows))
        assert await store.forget(b"hash", EMAIL) == {"records": 0, "events": 0, "deliveries": 0}
        assert await store.rows(PEOPLE, [item.key for item in rows]) == {item.key: item for item in rows}

    # ── retention ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_prune_keeps_whatever_is_still_owed(self, store: Store, now: Now) -> None:
        keys = ("delivered", "pending", "dead", "unwanted", "half")
        await store.commit_poll(owing(*(draft(key) for key in keys[:3])))
        await store.commit_poll(owing(draft("unwanted"), sinks=()))
        await store.commit_poll(owing(draft("half"), sinks=("crm", "queue")))
        await store.commit_poll(owing(draft("held"), held_by="signups"))
        delivered, _, dead, half = await leased(store)
        await store.settle_deliveries(
            [
                settled(delivered, DeliveryState.DELIVERED),
                settled(dead, DeliveryState.DEAD, error="400"),
                settled(half, DeliveryState.DELIVERED),
            ]
        )
        now.value = T0 + 31 * DAY
        assert (await store.prune(T0 + DAY))["events"] == 2
        left = [event.subject.rpartition("/")[2] for event in await store.events(Select())]
        assert left == ["pending", "dead", "half", "held"]
        assert await keys_leased(store, "queue", at=now.value) == ["half"]

    async def test_prune_keeps_what_is_younger(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), sinks=(), journal=journal_row()))
        assert await store.prune(T0) == {"events": 0, "polls": 0, "calls": 0, "bodies": 0}
        assert len(await store.events(Select())) == len(await store.polls(10)) == 1

    async def test_prune_drops_old_journal_rows_and_calls(self, store: Store, now: Now) -> None:
        await store.commit_poll(PollCommit(PEOPLE, journal=journal_row()))
        await store.ledger.settle(await store.ledger.reserve("client", "acme", 1), used=1)
        await store.ledger.reserve("client", "acme", 1)
        now.value = T0 + 3 * DAY
        pruned = await store.prune(T0 + DAY)
        assert (pruned["polls"], pruned["calls"]) == (1, 1)
        assert await store.polls(10) == []

    async def test_prune_never_takes_a_key_so_an_old_registrant_is_not_new_again(self, store: Store, now: Now) -> None:
        await store.commit_poll(PollCommit(WEBINARS, targets=[target()]))
        await store.commit_poll(owing(draft("1"), sinks=(), records=[row("1"), row("2", presence=Presence.GONE)]))
        now.value = T0 + 400 * DAY
        await store.prune(now.value)
        known = await store.known(PEOPLE)
        assert (set(known.fingerprints), set(known.gone)) == ({"1"}, {"2"})

    async def test_prune_erases_the_bodies_of_webinars_that_ended_long_ago(self, store: Store) -> None:
        def people(webinar: str) -> Scope:
            return Scope("registrant", webinar)

        ends = {"old": T0 - DAY, "recent": T0 + DAY, "endless": None}
        for webinar, end in ends.items():
            await store.commit_poll(PollCommit(WEBINARS, targets=[target(webinar, ends_at=end)]))
            await store.commit_poll(PollCommit(people(webinar), records=[row("1")]))
        assert (await store.prune(T0))["bodies"] == 1
        bodies = {name: (await store.rows(people(name), ["1"]))["1"].body for name in ends}
        assert bodies == {"old": None, "recent": b"{}", "endless": b"{}"}

    async def test_a_webinar_that_one_connection_still_expects_keeps_its_bodies(self, store: Store) -> None:
        await store.commit_poll(
            PollCommit(WEBINARS, targets=[target(ends_at=T0 - DAY), target(connection="beta", ends_at=T0 + DAY)])
        )
        await store.commit_poll(PollCommit(PEOPLE, records=[row("1")]))
        assert (await store.prune(T0))["bodies"] == 0

    async def test_what_was_known_of_the_people_of_a_cancelled_webinar_is_erased_but_not_their_keys(
        self, store: Store
    ) -> None:
        await store.commit_poll(PollCommit(WEBINARS, targets=[target(ends_at=T0 + DAY)]))
        await store.commit_poll(PollCommit(PEOPLE, records=[row("1")]))
        await store.commit_poll(PollCommit(WEBINARS, dropped=[(target().connection, PEOPLE)]))
        assert (await store.prune(T0))["bodies"] == 1
        assert set((await store.known(PEOPLE)).fingerprints) == {"1"}

    # ── the store itself ─────────────────────────────────────────────────────────────────────────────────────────────

    async def test_info_counts_what_is_kept(self, store: Store) -> None:
        await store.commit_poll(owing(draft("1"), sinks=("crm", "queue"), records=[row("1"), row("2")]))
        info = await store.info()
        assert info.epoch
        assert (info.counts["events"], info.counts["deliveries"], info.counts["records"]) == (1, 2, 2)

    async def test_a_backup_is_made_of_everything_and_replaces_an_older_one(self, store: Store, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        await store.backup(copy)
        small = copy.read_bytes()
        await store.commit_poll(owing(draft("findme")))
        await store.backup(copy)
        assert b"registrants/findme" not in small
        assert b"registrants/findme" in copy.read_bytes()

    async def test_a_closed_store_refuses_and_closing_twice_is_harmless(self, store: Store) -> None:
        ledger = store.ledger
        await store.close()
        await store.close()
        for call in (
            store.save_token("acme", b"x"),
            store.load_token("acme"),
            store.checkpoint(),
            ledger.reserve("client", "acme", 1),
        ):
            with pytest.raises(StateError, match="closed"):
                await call
        store.note_poll(journal_row())
