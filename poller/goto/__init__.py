"""A client library for GoTo Webinar, usable alone: OAuth, exact rate limits, typed calls, walks over paged lists.

`poller.goto.login.authorize` is not among these names because it brings a web server along.
"""

from poller.goto.auth import Authenticator, TokenStore
from poller.goto.client import GotoClient, Walk
from poller.goto.ledger import Ledger, Spent
from poller.goto.limits import Limiter, Limits, Priority, WindowView
from poller.goto.models import Identity, ListAnswer, Page, key_of, keys_of
from poller.goto.oauth import Credentials, TokenEndpoint, TokenSet
from poller.goto.protocol import AttendeeList, Request, TokenRefused
from poller.goto.transport import Transport, TransportSettings

__all__ = [
    "AttendeeList",
    "Authenticator",
    "Credentials",
    "GotoClient",
    "Identity",
    "Ledger",
    "Limiter",
    "Limits",
    "ListAnswer",
    "Page",
    "Priority",
    "Request",
    "Spent",
    "TokenEndpoint",
    "TokenRefused",
    "TokenSet",
    "TokenStore",
    "Transport",
    "TransportSettings",
    "Walk",
    "WindowView",
    "key_of",
    "keys_of",
]
