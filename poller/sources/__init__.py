"""From GoTo's wire to records, and from records to the words of events. One file per kind of object."""

from poller.sources.answers import Answers
from poller.sources.counts import UpcomingCounts
from poller.sources.meeting_attendees import MeetingAttendeeSource
from poller.sources.meeting_sessions import MeetingSessionSource
from poller.sources.meeting_shapes import Readers
from poller.sources.meeting_starts import MeetingStartSource
from poller.sources.meetings import MeetingSource
from poller.sources.pages import OPERATION_OF, calls_of
from poller.sources.participants import ParticipantSource
from poller.sources.registrants import RegistrantSource
from poller.sources.sessions import SessionSource
from poller.sources.webinar_starts import WebinarStartSource
from poller.sources.webinars import WebinarSource

__all__ = [
    "OPERATION_OF",
    "Answers",
    "MeetingAttendeeSource",
    "MeetingSessionSource",
    "MeetingSource",
    "MeetingStartSource",
    "ParticipantSource",
    "Readers",
    "RegistrantSource",
    "SessionSource",
    "UpcomingCounts",
    "WebinarSource",
    "WebinarStartSource",
    "calls_of",
]
