"""What a person or a test can do to the meetings of the world over HTTP; part of `actions`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import msgspec

from poller.errors import UsageError
from poller.simulator.action import Action, Delayed, said
from poller.simulator.meeting_facts import canonical
from poller.simulator.meeting_model import IMMEDIATE, MeetingSession, Visitor
from poller.simulator.meeting_world import HALF_AN_HOUR
from poller.simulator.model import Span
from poller.simulator.oauth import Issuer
from poller.simulator.shapes import JsonObject
from poller.simulator.webinar_request import Moment, Times, spans_of
from poller.simulator.world import World


class Guest(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """One stay of one person; moments left out are those of the session."""

    name: str
    email: str = ""
    join_time: Moment | None = None
    leave_time: Moment | None = None

    def visitor(self, held: Span) -> Visitor:
        joined, left = self.join_time or held.start, self.leave_time or held.end
        return Visitor(self.name, self.email, joined.astimezone(UTC), left.astimezone(UTC))


class CreateMeeting(Delayed, tag="create-meeting", kw_only=True):
    organizer_key: str | None = None
    subject: str | None = None
    meeting_type: Literal["scheduled", "recurring", "immediate"] = "scheduled"
    times: Times | None = None

    def perform(self, world: World, issuer: Issuer) -> JsonObject:
        if self.meeting_type == IMMEDIATE and self.times:
            raise UsageError("create-meeting: an immediate meeting has no times; it begins at once")
        fields = said(subject=self.subject, planned=_span(self.times))
        meeting = world.meetings.create(self.organizer_key, visible_in=self.delay, kind=self.meeting_type, **fields)
        return canonical(meeting)


class ChangeMeeting(Delayed, tag="change-meeting", kw_only=True):
    meeting_id: str
    subject: str | None = None
    times: Times | None = None
    conference_call_info: str | None = None
    password_required: bool | None = None

    def perform(self, world: World, issuer: Issuer) -> JsonObject:
        fields = said(
            subject=self.subject,
            planned=_span(self.times),
            conference_call_info=self.conference_call_info,
            password_required=self.password_required,
        )
        return canonical(world.meetings.change(self.meeting_id, visible_in=self.delay, **fields))


class CancelMeeting(Delayed, tag="cancel-meeting", kw_only=True):
    meeting_id: str

    def perform(self, world: World, issuer: Issuer) -> JsonObject:
        world.meetings.cancel(self.meeting_id, visible_in=self.delay)
        return {"meetingId": self.meeting_id}


class StartMeeting(Action, tag="start-meeting", kw_only=True):
    """It runs from now on."""

    meeting_id: str

    def perform(self, world: World, issuer: Issuer) -> JsonObject:
        world.meetings.start(self.meeting_id)
        return {"meetingId": self.meeting_id}


class EndMeeting(Action, tag="end-meeting", kw_only=True):
    """What runs ends now."""

    meeting_id: str

    def perform(self, world: World, issuer: Issuer) -> JsonObject:
        return _session(world.meetings.end(self.meeting_id))


class HoldMeeting(Action, tag="hold-meeting", kw_only=True):
    """A session of the last half hour, ended now. Guests and a recording are drawn where nothing is said."""

    meeting_id: str
    guests: list[Guest] | None = None
    recorded: bool | None = None

    def perform(self, world: World, issuer: Issuer) -> JsonObject:
        held = _last_half_hour(world.catch_up())
        visitors = None if self.guests is None else [guest.visitor(held) for guest in self.guests]
        return _session(world.meetings.hold(self.meeting_id, visitors=visitors, recorded=self.recorded))


MeetingAction = CreateMeeting | ChangeMeeting | CancelMeeting | StartMeeting | EndMeeting | HoldMeeting


def _span(times: Times | None) -> Span | None:
    return None if times is None else spans_of([times])[0]


def _last_half_hour(now: datetime) -> Span:
    end = now.replace(microsecond=0)
    return Span(end - HALF_AN_HOUR, end)


def _session(session: MeetingSession) -> JsonObject:
    return {**canonical(session), "meetingInstanceKey": session.instance_key}
