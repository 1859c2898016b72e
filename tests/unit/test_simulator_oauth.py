"""The simulated issuer: every grant, every refusal, the three eras of refresh tokens."""

from __future__ import annotations

import base64
import json
from random import Random
from urllib.parse import parse_qs, urlsplit

import pytest

from poller.simulator import ApiOptions, World, WorldOptions
from poller.simulator.answers import ApiError
from poller.simulator.oauth import CLIENT_ID, CLIENT_SECRET, Issuer, s256
from poller.testing import FakeClock

BASIC = "Basic " + base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
VERIFIER = "v" * 64
ASK = {
    "client_id": CLIENT_ID,
    "redirect_uri": "http://127.0.0.1:8471/callback",
    "response_type": "code",
    "code_challenge": s256(VERIFIER),
    "code_challenge_method": "S256",
    "state": "xyz",
}


class Desk:
    """An issuer with a fake clock, and the few steps of a login."""

    def __init__(self, **options):
        self.clock = FakeClock()
        self.world = World(WorldOptions(organizers=2, rate_per_minute=0), self.clock)
        first = self.world.organizers[0]
        api = ApiOptions(**options)
        self.issuer = Issuer(self.world.people, api, self.clock.monotonic, Random(1), first)

    def code(self, **ask):
        return self.query(**ask)["code"]

    def query(self, **ask):
        target = urlsplit(self.issuer.authorize({**ASK, **ask}))
        return {name: values[0] for name, values in parse_qs(target.query).items()}

    def exchange(self, code, verifier=VERIFIER, redirect_uri=ASK["redirect_uri"]):
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
        return self.issuer.token({**form, "redirect_uri": redirect_uri}, BASIC)

    def log_in(self):
        return self.exchange(self.code())

    def refresh(self, refresh_token):
        return self.issuer.token({"grant_type": "refresh_token", "refresh_token": refresh_token}, BASIC)

    def alive(self, fields):
        token = self.issuer.find(fields["access_token"])
        return token is not None and self.issuer.alive(token)


def refusal(call, *args, **named):
    with pytest.raises(ApiError) as refused:
        call(*args, **named)
    return refused.value.answer.status, json.loads(refused.value.answer.body)["error"]


def test_a_login_by_code_gives_both_tokens_and_keeps_the_state():
    desk = Desk()
    assert desk.query()["state"] == "xyz"
    fields = desk.log_in()
    assert desk.alive(fields)
    assert fields["refresh_token"]
    assert (fields["expires_in"], fields["principal"]) == (3600, desk.world.organizers[0].email)


def test_a_login_hint_chooses_the_person():
    desk = Desk()
    other = desk.world.organizers[1]
    fields = desk.exchange(desk.code(login_hint=other.email))
    assert fields["principal"] == other.email


def test_a_code_works_once_and_not_with_another_verifier_or_address():
    desk = Desk()
    code = desk.code()
    desk.exchange(code)
    assert refusal(desk.exchange, code) == (400, "invalid_grant")
    assert refusal(desk.exchange, desk.code(), "w" * 64) == (400, "invalid_grant")
    elsewhere = "http://127.0.0.1:1/callback"
    assert refusal(desk.exchange, desk.code(), VERIFIER, elsewhere) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "ask",
    [
        {"client_id": "stranger"},
        {"redirect_uri": "https://example.com/callback"},
        {"redirect_uri": "http://127.0.0.1:8471/callback?more=1"},
        {"redirect_uri": ""},
    ],
)
def test_a_stranger_or_a_foreign_address_is_sent_nowhere(ask):
    assert refusal(Desk().issuer.authorize, {**ASK, **ask})[0] == 400


def test_only_registered_addresses_are_taken_when_some_are_registered():
    desk = Desk(redirect_uris=("http://127.0.0.1:9/cb",))
    assert refusal(desk.issuer.authorize, ASK)[0] == 400
    assert desk.code(redirect_uri="http://127.0.0.1:9/cb")


@pytest.mark.parametrize(
    "ask", [{"response_type": "token"}, {"code_challenge": ""}, {"code_challenge_method": "plain"}]
)
def test_a_flow_without_code_or_pkce_goes_back_with_an_error(ask):
    query = Desk().query(**ask)
    assert "code" not in query
    assert query["error"] in ("unsupported_response_type", "invalid_request")


def test_a_refresh_answers_no_refresh_token_and_the_old_one_goes_on_working():
    desk = Desk(refresh_tokens="absent")
    first = desk.log_in()
    for _ in range(3):
        assert "refresh_token" not in desk.refresh(first["refresh_token"])
    assert desk.alive(first)


def test_a_refresh_repeats_the_same_token():
    desk = Desk(refresh_tokens="same")
    first = desk.log_in()
    assert desk.refresh(first["refresh_token"])["refresh_token"] == first["refresh_token"]


def test_a_rotated_refresh_token_works_once_and_ends_what_came_before():
    desk = Desk(refresh_tokens="rotate")
    first = desk.log_in()
    second = desk.refresh(first["refresh_token"])
    assert second["refresh_token"] != first["refresh_token"]
    assert not desk.alive(first)
    assert desk.alive(second)
    assert refusal(desk.refresh, first["refresh_token"]) == (400, "invalid_grant")
    assert desk.alive(desk.refresh(second["refresh_token"]))


async def test_access_tokens_live_exactly_as_long_as_configured():
    desk = Desk(access_token_seconds=60)
    fields = desk.log_in()
    await desk.clock.advance(59.999)
    assert desk.alive(fields)
    await desk.clock.advance(0.001)
    assert not desk.alive(fields)


def test_a_personal_access_token_logs_its_owner_in():
    desk = Desk()
    owner = desk.world.organizers[1]
    fields = desk.issuer.token({"grant_type": "personal_access_token", "pat": owner.pat}, BASIC)
    assert fields["principal"] == owner.email
    wrong = {"grant_type": "personal_access_token", "pat": "nobody's"}
    assert refusal(desk.issuer.token, wrong, BASIC) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic !!!", "Basic " + base64.b64encode(b"simulator:wrong").decode(), "Bearer x"],
)
def test_wrong_client_credentials_are_invalid_client(authorization):
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    assert refusal(Desk().issuer.token, form, authorization) == (401, "invalid_client")


def test_client_credentials_are_taken_from_the_body_too():
    desk = Desk()
    form = {"grant_type": "personal_access_token", "pat": desk.world.organizers[0].pat}
    body = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    assert desk.alive(desk.issuer.token({**form, **body}, ""))


def test_other_grants_are_unsupported():
    assert refusal(Desk().issuer.token, {"grant_type": "password"}, BASIC) == (400, "unsupported_grant_type")


def test_a_revoked_login_ends_all_its_tokens_and_nobody_elses():
    desk = Desk()
    first, other = desk.world.organizers
    mine = desk.log_in()
    theirs = desk.exchange(desk.code(login_hint=other.email))
    desk.issuer.revoke(first.organizer_key)
    assert not desk.alive(mine)
    assert refusal(desk.refresh, mine["refresh_token"]) == (400, "invalid_grant")
    by_pat = {"grant_type": "personal_access_token", "pat": first.pat}
    assert refusal(desk.issuer.token, by_pat, BASIC) == (400, "invalid_grant")
    assert desk.alive(theirs)
    assert desk.alive(desk.refresh(theirs["refresh_token"]))
    assert desk.alive(desk.log_in())
    desk.issuer.restore(first.organizer_key)
    assert desk.alive(desk.issuer.token(by_pat, BASIC))


def test_scopes_are_those_asked_for_among_those_the_client_has():
    desk = Desk(scopes="collab: identity:")
    assert desk.exchange(desk.code(scope="collab: identity:scim.me"))["scope"] == "collab:"
    assert desk.exchange(desk.code())["scope"] == "collab: identity:"
