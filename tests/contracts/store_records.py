"""Contract of a store, part one: what we know."""

from __future__ import annotations

from dataclasses import replace

from state.records import ConnectionState, Known, Phase, Presence, RecordRow, Scope, Target
from state.store import PollCommit, Store
from tests.contracts.store_samples import PEOPLE, T0, WEBINARS, Now, journal_row, row, target


class Records:
    async def test_an_unknown_scope_knows_nothing(self, store: Store) -> None:
        assert await store.known(PEOPLE) == Known()
        assert await store.rows(PEOPLE, ["1"]) == {}
        assert await store.unannounced(PEOPLE) == []
        assert await store.targets() == []
        assert await store.connections() == []

    async def test_a_record_comes_back_as_it_was_committed(self, store: Store) -> None:
        told = row("1", b'{"a":1}', born=3, revision=5, presence=Presence.MISSING, announced=False, previous=b"old")
        plain = RecordRow("2", b"print", None)
        await store.commit_poll(PollCommit(PEOPLE, records=[told, plain]))
        assert await store.rows(PEOPLE, ["1", "2", "3"]) == {"1": told, "2": plain}

    async def test_records_of_one_scope_are_not_seen_in_another(self, store: Store) -> None:
        await store.commit_poll(PollCommit(PEOPLE, records=[row("1")]))
        for other in (Scope("registrant", "200"), Scope("webinar", "100"), WEBINARS):
            assert await store.known(other) == Known()

    async def test_known_tells_present_missing_and_gone_keys_apart(self, store: Store) -> None:
        await store.commit_poll(
            PollCommit(
                PEOPLE,
                records=[
                    row("here"),
                    row("away", presence=Presence.MISSING),
                    row("gone", presence=Presence.GONE, revision=4),
                ],
            )
        )
        known = await store.known(PEOPLE)
        assert known.fingerprints == {"here": b"print of here", "away": b"print of away"}
        assert known.missing == {"away"}
        assert known.gone == {"gone": 4}

    async def test_known_can_be_asked_for_some_keys_only(self, store: Store) -> None:
        await store.commit_poll(PollCommit(PEOPLE, records=[row("1"), row("2"), row("3")]))
        assert set((await store.known(PEOPLE, ["1", "3", "9"])).fingerprints) == {"1", "3"}
        assert await store.known(PEOPLE, []) == Known()

    async def test_keys_that_look_like_sql_or_json_are_only_keys(self, store: Store) -> None:
        keys = ["it's", '"quoted"', "%", "_", "[1]", "ключ", "\U0001f600", " "]
        await store.commit_poll(PollCommit(PEOPLE, records=[row(key) for key in keys]))
        assert set(await store.rows(PEOPLE, keys)) == set(keys)
        assert set((await store.known(PEOPLE)).fingerprints) == set(keys)

    async def test_missing_and_returned_move_a_key_back_and_forth(self, store: Store) -> None:
        await store.commit_poll(PollCommit(PEOPLE, records=[row("1"), row("2")]))
        await store.commit_poll(PollCommit(PEOPLE, missing=["1", "2"]))
        assert (await store.known(PEOPLE)).missing == {"1", "2"}
        await store.commit_poll(PollCommit(PEOPLE, returned=["1"]))
        assert (await store.known(PEOPLE)).missing == {"2"}

    async def test_the_revision_of_a_key_survives_its_removal(self, store: Store) -> None:
        removed = row("1", revision=7, born=5, presence=Presence.GONE)._replace(body=None)
        await store.commit_poll(PollCommit(PEOPLE, records=[removed]))
        assert (await store.known(PEOPLE)).gone == {"1": 7}
        assert (await store.rows(PEOPLE, ["1"]))["1"] == removed

    async def test_a_removed_key_is_not_revived_by_being_called_missing_or_returned(self, store: Store) -> None:
        await store.commit_poll(PollCommit(PEOPLE, records=[row("1", presence=Presence.GONE)]))
        await store.commit_poll(PollCommit(PEOPLE, missing=["1"]))
        await store.commit_poll(PollCommit(PEOPLE, returned=["1"]))
        assert set((await store.known(PEOPLE)).gone) == {"1"}

    async def test_unannounced_are_the_present_records_nobody_was_told_of(self, store: Store) -> None:
        silent = row("silent", announced=False)
        await store.commit_poll(
            PollCommit(
                PEOPLE,
                records=[
                    silent,
                    row("told"),
                    row("gone", announced=False, presence=Presence.GONE),
                    row("erased", announced=False)._replace(body=None),
                ],
            )
        )
        assert await store.unannounced(PEOPLE) == [silent]

    async def test_fifty_thousand_records_of_one_scope_are_known_at_once(self, store: Store) -> None:
        await store.commit_poll(PollCommit(PEOPLE, records=[row(f"{n:019d}") for n in range(50_000)]))
        known = await store.known(PEOPLE)
        assert len(known.fingerprints) == 50_000
        assert not known.missing and not known.gone

    # ── targets, phases and connections ──────────────────────────────────────────────────────────────────────────────

    async def test_a_target_is_kept_per_connection_with_the_phase_of_its_scope(self, store: Store) -> None:
        ours = target(phase=Phase.NEW, organizer_key="1", ends_at=T0 + 60)
        theirs = replace(ours, connection="beta", organizer_key="2", phase=Phase.BASELINE)
        await store.commit_poll(PollCommit(WEBINARS, targets=[ours, theirs]))
        # The scope is one: whoever found it first gave it its phase.
        assert await store.targets("acme") == [ours]
        assert await store.targets("beta") == [replace(theirs, phase=Phase.NEW)]
        assert len(await store.targets()) == 2

    async def test_a_known_target_takes_a_new_title_and_end_and_keeps_how_far_it_was_polled(self, store: Store) -> None:
        await store.commit_poll(PollCommit(WEBINARS, targets=[target(phase=Phase.BASELINE)]))
        walked = target(polled_at=T0, digest=b"bytes", size=3, news=1.5, exposure=60.0, began_at=T0 - 9)
        await store.commit_poll(PollCommit(PEOPLE, polled=walked, phase=Phase.OPEN))
        await store.commit_poll(PollCommit(WEBINARS, targets=[target(title="Other", ends_at=T0, phase=Phase.NEW)]))
        assert await store.targets() == [replace(walked, title="Other", ends_at=T0, phase=Phase.OPEN)]

    async def test_the_ends_around_which_a_target_is_read_are_kept_and_replaced(self, store: Store) -> None:
        first = target(ends=(T0, T0 + 0.5))
        await store.commit_poll(PollCommit(WEBINARS, targets=[first]))
        assert await store.targets() == [first]
        for ends in ((), (T0 + 7,), None):
            await store.commit_poll(PollCommit(WEBINARS, targets=[replace(first, ends=ends)]))
            assert [found.ends for found in await store.targets()] == [ends]

    async def test_a_dropped_target_leaves_the_other_connections_and_the_keys_alone(self, store: Store) -> None:
        await store.commit_poll(PollCommit(WEBINARS, targets=[target(), target(connection="beta")]))
        await store.commit_poll(PollCommit(PEOPLE, records=[row("1")]))
        await store.commit_poll(PollCommit(WEBINARS, dropped=[("acme", PEOPLE), ("acme", Scope("registrant", "none"))]))
        assert [found.connection for found in await store.targets()] == ["beta"]
        assert set((await store.known(PEOPLE)).fingerprints) == {"1"}

    async def test_a_connection_is_saved_alone_or_with_a_poll(self, store: Store) -> None:
        first = ConnectionState("beta", "1", "2", "unauthorized", "invalid_grant", T0, T0 - 60, T0 + 1)
        second = ConnectionState("acme")
        await store.save_connection(first)
        await store.commit_poll(PollCommit(WEBINARS, connection=second))
        assert await store.connections() == [second, first]
        await store.save_connection(replace(first, status="active", reason=""))
        assert (await store.connections())[1].status == "active"

    # ── journal ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_the_journal_shows_the_newest_polls_first_by_connection_and_key(self, store: Store) -> None:
        rows = [
            journal_row(T0, "acme"),
            journal_row(T0 + 1, "beta"),
            journal_row(T0 + 2, "acme", Scope("registrant", "200")),
        ]
        for item in rows:
            await store.commit_poll(PollCommit(item.scope, journal=item))
        assert await store.polls(10) == rows[::-1]
        assert await store.polls(1) == rows[2:]
        assert await store.polls(10, "acme") == [rows[2], rows[0]]
        assert await store.polls(10, key="100") == [rows[1], rows[0]]

    async def test_the_journal_of_a_webinar_has_the_polls_of_its_sessions_too(self, store: Store) -> None:
        below = [Scope("session", "100"), Scope("participant", "100/7"), Scope("participant", "1000/7")]
        for number, scope in enumerate(below):
            await store.commit_poll(PollCommit(scope, journal=journal_row(T0 + number, "acme", scope)))
        assert [found.scope for found in await store.polls(10, key="100")] == below[1::-1]
        assert [found.scope for found in await store.polls(10, key="100/7")] == [below[1]]

    async def test_what_is_known_of_a_webinar_are_its_lists_and_those_of_its_sessions(self, store: Store) -> None:
        scopes = [Scope("registrant", "100"), Scope("session", "100"), Scope("participant", "100/7")]
        other = Scope("participant", "1000/7")
        await store.commit_poll(PollCommit(WEBINARS, targets=[Target("acme", scope) for scope in (*scopes, other)]))
        await store.commit_poll(PollCommit(scopes[2], records=[row("5")]))
        assert {found.scope for found in (await store.explain("100")).targets} == set(scopes)
        assert {found.scope for found in (await store.explain("5")).targets} == {scopes[2]}

    async def test_a_noted_poll_is_there_after_the_next_transaction(self, store: Store, now: Now) -> None:
        await store.commit_poll(PollCommit(WEBINARS, targets=[target()]))
        walked: Target = target(polled_at=T0 + 5, digest=b"same", size=9, news=2.5, exposure=3600.0)
        store.note_poll(journal_row(T0 + 5), walked)
        store.note_poll(journal_row(T0 + 6))
        await store.commit_poll(PollCommit(PEOPLE))
        assert await store.targets() == [walked]
        assert [item.started_at for item in await store.polls(10)] == [T0 + 6, T0 + 5]
