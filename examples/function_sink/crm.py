"""A sink of one's own: every approved registrant becomes a contact of a CRM that speaks JSON over HTTP.

The settings beside this file name the coroutine (`call = "crm:upsert"`). What it raises decides what happens next:
`Refused` makes this event a dead letter, `Wait` and everything else makes the sink wait and try again.
"""

from __future__ import annotations

import os
from typing import Any

import aiohttp

from poller.errors import Refused, Wait

TIMEOUT = aiohttp.ClientTimeout(total=20)  # seconds; the sink's own `timeout` is longer
WRONG = (400, 409, 413, 422)  # what this CRM says of a contact it will never take


async def upsert(person: dict[str, Any]) -> None:
    """With `format = "item"` an event arrives flat: the vendor's fields beside id, sequence, eventType and eventTime.

    PUT under the registrant's key: sent twice, it is the same contact.
    """
    url = f"{os.environ['CRM_URL']}/contacts/{person['registrantKey']}"
    contact = {name: person.get(name, "") for name in ("firstName", "lastName", "email")}
    headers = {"Idempotency-Key": person["id"]}
    async with (
        aiohttp.ClientSession(timeout=TIMEOUT) as session,
        session.put(url, json={**contact, "source": person["webinarSubject"]}, headers=headers) as answer,
    ):
        if answer.status in WRONG:
            raise Refused(f"the CRM refuses this contact: {answer.status}")
        if answer.status == 429:
            seconds = answer.headers.get("Retry-After", "")
            raise Wait("the CRM is busy", retry_after=float(seconds) if seconds.isdecimal() else None)
        answer.raise_for_status()
