"""Every operation of GoTo by its name: `client.operations.create_registrant(…)`."""

from __future__ import annotations

from poller.goto.operations.meeting_methods import MeetingMethods
from poller.goto.operations.people_methods import PeopleMethods
from poller.goto.operations.webhook_methods import WebhookMethods
from poller.goto.operations.webinar_methods import WebinarMethods


class Operations(WebinarMethods, PeopleMethods, WebhookMethods, MeetingMethods):
    """Names are the vendor's operationIds in Python's spelling, and so are those of their parameters.

    Keys of the connection itself (organizer_key, account_key, user_key) may be left out. See Calls for what else there
    is to choose, and for what is raised.
    """
