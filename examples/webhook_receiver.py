"""A receiver for the webhook sink, with nothing but the standard library.

    WEBHOOK_SECRETS="whsec_…" python webhook_receiver.py --port 8480 --database seen.db

It checks the signature as Standard Webhooks describes it (https://www.standardwebhooks.com), takes every event once
although it may be sent more than once, and answers so that the sink does the right thing:

    204  taken, now or before
    400  no event: the sink makes it a dead letter
    401  wrong or missing signature, or a timestamp too far from now: the sink waits and tries again

While a secret is being replaced, give both, separated by a space. Put a server that speaks https in front of it.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hmac
import json
import os
import sqlite3
import time
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

TOLERANCE = 300  # seconds between the sender's clock and ours; older requests could be replays
LARGEST = 1_000_000  # bytes of one event


def verified(keys: list[bytes], headers: Message, body: bytes, now: float) -> bool:
    """Whether one of the signatures was made with one of the keys, lately."""
    id_, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not id_ or not stamp.isascii() or not stamp.isdigit() or abs(now - int(stamp)) > TOLERANCE:
        return False
    signed = f"{id_}.{stamp}.".encode() + body
    expected = [b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256")) for key in keys]
    given = headers.get("webhook-signature", "").encode().split()
    return any(hmac.compare_digest(one, other) for one in expected for other in given)


class Receiver(HTTPServer):
    """One request at a time, so that the database needs no lock."""

    def __init__(self, port: int, keys: list[bytes], db: sqlite3.Connection) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.keys = keys
        self.db = db
        db.execute("CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY, at REAL NOT NULL)")

    def take(self, id_: str, event: dict[str, Any]) -> None:
        """The note that an event was seen and its effect belong into one transaction."""
        with self.db:
            new = self.db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (id_, time.time())).rowcount
            if new:
                print(event["type"], event["subject"], flush=True)  # your own work goes here


class Handler(BaseHTTPRequestHandler):
    server: Receiver
    timeout = 10  # seconds for a client to say all it has to say

    def do_POST(self) -> None:
        self.send_response(self._answer())
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self) -> int:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST:
            return 400
        body = self.rfile.read(int(length))
        if not verified(self.server.keys, self.headers, body, time.time()):
            return 401
        try:
            event = json.loads(body)
            self.server.take(self.headers["webhook-id"], event)
        except (ValueError, KeyError, TypeError):
            return 400
        return 204

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  # the name that the base class gave it
        """Nothing is logged: paths and bodies may hold personal data."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Receives events of the webhook sink.")
    parser.add_argument("--port", type=int, default=8480, help="0 takes a free one")
    parser.add_argument("--database", default="seen.db")
    options = parser.parse_args()
    keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in os.environ["WEBHOOK_SECRETS"].split()]
    with contextlib.closing(sqlite3.connect(options.database)) as db, Receiver(options.port, keys, db) as server:
        print(f"listening on http://127.0.0.1:{server.server_port}/", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
