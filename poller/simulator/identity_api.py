"""The login page, the token endpoint, and the two ways to ask who a token belongs to."""

from __future__ import annotations

from urllib.parse import parse_qsl

from poller.simulator.answers import Answer, json_answer, not_yours
from poller.simulator.desk import Desk, Operation, Visit
from poller.simulator.faults import AUTHORIZE, TOKEN
from poller.simulator.oauth import Issuer
from poller.simulator.shapes import Shapes

SCIM_SCOPE = "identity:scim.me"


class IdentityApi:
    def __init__(self, desk: Desk, issuer: Issuer, shapes: Shapes) -> None:
        self._desk, self._issuer, self._shapes = desk, issuer, shapes

    def operations(self) -> list[Operation]:
        return [
            Operation(AUTHORIZE, "GET", "/oauth/authorize", self._authorize, guard="open"),
            Operation(TOKEN, "POST", "/oauth/token", self._token, guard="open"),
            Operation("getMe", "GET", "/admin/rest/v1/me", self._me),
            Operation("getScimMe", "GET", "/identity/v1/Users/me", self._scim_me, guard="identity"),
        ]

    def _authorize(self, visit: Visit) -> Answer:
        """No page to look at: the simulated person consents at once."""
        return Answer(302, headers={"Location": self._issuer.authorize(visit.query)})

    def _token(self, visit: Visit) -> Answer:
        form = dict(parse_qsl(visit.body.decode(errors="replace"), keep_blank_values=True))
        fields = self._desk.issue(visit, form, visit.headers.get("Authorization", ""))
        return json_answer(fields, headers={"Cache-Control": "no-store"})

    def _me(self, visit: Visit) -> Answer:
        person = visit.caller.person
        return json_answer(
            {
                "key": self._shapes.account_key(person.organizer_key),
                "accountKey": self._shapes.account_key(person.account_key),
                "email": person.email,
                "firstName": person.first_name,
                "lastName": person.last_name,
                "locale": "en_US",
                "createTime": 1_600_000_000_000,
            }
        )

    def _scim_me(self, visit: Visit) -> Answer:
        if not visit.caller.may(SCIM_SCOPE):
            raise not_yours()
        person = visit.caller.person
        return json_answer(
            {
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
                "id": person.organizer_key,
                "userName": person.email,
                "displayName": person.name,
                "name": {"givenName": person.first_name, "familyName": person.last_name},
                "emails": [{"value": person.email, "type": "work", "primary": True}],
                "active": True,
            }
        )
