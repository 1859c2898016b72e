"""A GoTo to try things against: a seeded world that lives, and the API in front of it, limits and faults included.

Built from the vendor's documents alone, it shares nothing with the client it is there to test.
"""

from poller.simulator.attendance import Participant, Session
from poller.simulator.desk import Call
from poller.simulator.faults import FAULTS, FaultPlan
from poller.simulator.hook_sender import Posting
from poller.simulator.limits import Breach, LimitOptions, Window
from poller.simulator.meeting_facts import attended_subject
from poller.simulator.meeting_model import Meeting, MeetingSession, Visitor
from poller.simulator.model import Organizer, Registrant, Span, Webinar
from poller.simulator.options import ApiOptions, WebhookOptions, WorldOptions
from poller.simulator.report import Report
from poller.simulator.roster import AlreadyRegisteredError, UnknownKeyError
from poller.simulator.run import simulate
from poller.simulator.server import Simulator
from poller.simulator.truth import Fact, Truth
from poller.simulator.world import World

__all__ = [
    "FAULTS",
    "AlreadyRegisteredError",
    "ApiOptions",
    "Breach",
    "Call",
    "Fact",
    "FaultPlan",
    "LimitOptions",
    "Meeting",
    "MeetingSession",
    "Organizer",
    "Participant",
    "Posting",
    "Registrant",
    "Report",
    "Session",
    "Simulator",
    "Span",
    "Truth",
    "UnknownKeyError",
    "Visitor",
    "WebhookOptions",
    "Webinar",
    "Window",
    "World",
    "WorldOptions",
    "attended_subject",
    "simulate",
]
