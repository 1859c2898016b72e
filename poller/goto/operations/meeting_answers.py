"""What GoTo Meeting answers, with the vendor's names (also where they are lower-case); any field may be absent.

Keys are strings, whatever the wire has. Times are passed on as they come, in the vendor's several forms, and may be
empty.
"""

from __future__ import annotations

from typing import TypedDict


class UpcomingMeeting(TypedDict, total=False):
    meetingId: str
    meetingType: str
    subject: str
    startTime: str
    endTime: str
    status: str
    passwordRequired: str
    conferenceCallInfo: str
    joinURL: str
    locale: str
    accountKey: str
    organizerKey: str
    email: str
    firstName: str
    lastName: str


class Recording(TypedDict, total=False):
    recordingName: str
    recordingId: str
    downloadUrl: str
    fileSize: int
    shareUrl: str
    transcriptUrl: str
    aiSummaryUrl: str


class HistoricalMeeting(TypedDict, total=False):
    """One held session of a meeting."""

    meetingId: str
    sessionId: str
    meetingType: str
    subject: str
    startTime: str
    endTime: str
    duration: str
    numAttendees: str
    conferenceCallInfo: str
    locale: str
    accountKey: str
    organizerKey: str
    email: str
    firstName: str
    lastName: str
    recording: Recording


class MeetingAttendee(TypedDict, total=False):
    """`email`, `firstName` and `lastName` are the organizer's; `duration` is the meeting's, in minutes."""

    attendeeName: str
    attendeeEmail: str
    name: str
    joinTime: str
    leaveTime: str
    meetingId: str
    meetingInstanceKey: str
    meetingType: str
    subject: str
    startTime: str
    endTime: str
    duration: int
    numAttendees: int
    conferenceCallInfo: str
    groupName: str
    organizerkey: str
    email: str
    firstName: str
    lastName: str


class OrganizerAttendee(MeetingAttendee, total=False):
    """Here `duration` is the attendance in minutes, and `name` the organizer's."""

    newMeetingId: str
    newStartTime: list[str]
    newEndTime: list[str]


class GroupAttendee(TypedDict, total=False):
    attendeeName: str
    attendeeEmail: str
    joinTime: str
    leaveTime: str
    meetingId: str
    meetingInstanceKey: str
    meetingType: str
    subject: str
    startTime: str
    endTime: str
    duration: int
    numAttendees: int
    conferenceCallInfo: str
    groupName: str
    organizerkey: str
    organizerKey: str
    email: str
    firstName: str
    lastName: str


class GroupUpcomingMeeting(TypedDict, total=False):
    meetingId: str
    meetingType: str
    subject: str
    startTime: str
    endTime: str
    status: str
    passwordRequired: str
    joinURL: str
    locale: str
    groupName: str
    accountKey: str
    organizerKey: str
    email: str
    firstName: str
    lastName: str


class GroupHistoricalMeeting(TypedDict, total=False):
    """Tells that something ended, not which session of it."""

    meetingId: str
    meetingType: str
    subject: str
    startTime: str
    endTime: str
    duration: str
    numAttendees: str
    locale: str
    groupName: str
    accountKey: str
    organizerKey: str
    email: str
    firstName: str
    lastName: str


class Meeting(TypedDict, total=False):
    meetingId: str
    meetingKey: str
    uniqueMeetingId: str
    meetingType: str
    subject: str
    startTime: str
    endTime: str
    createTime: str
    duration: int
    status: str
    passwordRequired: str
    conferenceCallInfo: str
    maxParticipants: int
    coorganizerKeys: list[str]
    joinURL: str


class MeetingCreated(TypedDict, total=False):
    meetingid: str
    uniqueMeetingId: str
    joinURL: str
    maxParticipants: int
    conferenceCallInfo: str


class HostUrl(TypedDict, total=False):
    """Whoever has it is the host."""

    hostURL: str


class RoomProfile(TypedDict, total=False):
    userKey: str
    meetingId: str
    profileId: str
    theme: str
    showMeetMePage: bool
