"""Follow the event stream of a running engine over HTTP, from any machine: `pip install httpx httpx-sse`.

    python stream.py http://127.0.0.1:8470/v1/stream place.txt

Prints one line per event. The place behind the last one is kept in a file: after a lost connection, and after a restart
of this program or of the engine, the stream goes on there. What was printed but not noted comes again, with the same
id. Without a place the stream begins now. An API key may be in the environment as API_KEY.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from httpx_sse import ServerSentEvent, connect_sse

SILENCE = 45.0  # seconds; the engine sends a comment each 15 s, so after this the connection is dead


def events(client: httpx.Client, url: str, place: str) -> Iterator[ServerSentEvent]:
    """Without end, over any number of connections. Raises httpx.HTTPStatusError for what no waiting mends."""
    pause = 3.0
    while True:
        with contextlib.suppress(httpx.TransportError):
            headers = {"Last-Event-ID": place} if place else {}
            with connect_sse(client, "GET", url, headers=headers) as source:
                answer = source.response
                if answer.status_code != 429 and not answer.is_server_error:
                    answer.raise_for_status()
                    if "Poller-Gap" in answer.headers:
                        print("events may be missing here, or come again", file=sys.stderr, flush=True)
                    place = place or answer.headers["Poller-Cursor"]
                    for event in source.iter_sse():
                        pause = pause if event.retry is None else event.retry / 1000
                        if event.data:
                            place = event.id
                            yield event
        time.sleep(pause)


def follow(url: str, place: Path) -> None:
    headers = {"X-API-Key": os.environ["API_KEY"]} if "API_KEY" in os.environ else {}
    last = place.read_text() if place.exists() else ""
    with httpx.Client(headers=headers, timeout=httpx.Timeout(10.0, read=SILENCE)) as client:
        for event in events(client, url, last):
            told = event.json()
            print(f"{told['type']} {told['subject']}", flush=True)
            new = place.with_name(f"{place.name}.new")
            new.write_text(event.id)
            new.replace(place)  # whole or not at all


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        follow(sys.argv[1], Path(sys.argv[2]))
