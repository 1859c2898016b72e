"""Read the feed of a running engine in batches, with the SDK of CloudEvents: `pip install cloudevents`.

    python feed.py http://127.0.0.1:8470/v1/feed [ID OF THE LAST EVENT READ]

Prints id, time, type and subject of each event that the log holds behind that one, the oldest first, and ends when all
are read; the last id is where to go on. With `timeout=30000` in the query the engine would wait for news instead.
An API key may be in the environment as API_KEY.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlencode

from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

LIMIT = 500  # events of one batch


def batch(url: str, last: str) -> list[BaseCloudEvent]:
    """The next events behind the one with the id `last`; from the oldest on, if that is empty."""
    query = urlencode({"lastEventId": last, "limit": LIMIT})
    headers = {"X-API-Key": os.environ["API_KEY"]} if "API_KEY" in os.environ else {}
    with urllib.request.urlopen(urllib.request.Request(f"{url}?{query}", headers=headers), timeout=60) as answer:
        if answer.headers.get_content_type() != "application/cloudevents-batch+json":
            raise SystemExit(f"{url} is not a feed of CloudEvents")
        found = json.load(answer)
    return [JSONFormat().read(CloudEvent, json.dumps(event)) for event in found]


def events(url: str, last: str) -> Iterator[BaseCloudEvent]:
    while found := batch(url, last):
        yield from found
        last = found[-1].get_id()


if __name__ == "__main__":
    for event in events(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""):
        print(event.get_id(), event.get_time(), event.get_type(), event.get_subject(), flush=True)
