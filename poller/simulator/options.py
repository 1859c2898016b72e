"""What a person may choose about a simulated GoTo: its world's size and liveliness, its API's habits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

KeyMode = Literal["spec", "wild", "strings"]
RefreshMode = Literal["absent", "same", "rotate"]

ALL_SCOPES = "collab: identity: identity:scim.me"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldOptions:
    """One world. The same options and the same passing of time give the same world, key by key.

    `webinars`, `registrants` and `meetings` count what exists at the start, over all organizers; registrants are
    spread evenly. The shares of live actions are relative to registrations, and with meetings to new meetings: 0.05
    means one in twenty beside them.
    """

    seed: int = 1
    organizers: int = 1
    webinars: int = 20
    registrants: int = 300
    rate_per_minute: float = 30.0
    skew: float = 1.0  # exponent of the Zipf-like weights: 0 = every webinar alike
    status_share: float = 0.05
    removal_share: float = 0.02
    change_share: float = 0.01
    creation_share: float = 0.01
    cancellation_share: float = 0.002
    manual_share: float = 0.25  # webinars whose registrants wait for approval
    series_share: float = 0.1
    sequence_share: float = 0.1
    coorganized_share: float = 0.0  # needs two organizers; such a webinar is listed under both
    past_share: float = 0.0  # webinars that ended within the 30 days before the start
    second_session_share: float = 0.0  # times of a webinar that are held in two sessions with a break between
    session_delay_seconds: float = 0.0  # from the end of a session until it shows among the completed ones
    attendance_share: float = 0.7  # of the approved registrants of a held session
    attendance_delay_seconds: float = 0.0  # from the end of a session until its attendance shows
    attendance_settling_seconds: float = 0.0  # from then until everybody who came shows
    attendance_first_share: float = 0.6  # of those who came: in the attendance as it shows first
    rejoin_share: float = 0.2  # of those who came: left and came back
    two_devices_share: float = 0.0  # of those who came: on two devices, the stays overlap
    walk_in_share: float = 0.0  # beside the approved: came first, are registered when the session ends
    unregistered_share: float = 0.0  # beside the approved: came without any registrant record
    survey_share: float = 0.3  # of those who came: hand in the survey within an hour after the end
    recording_share: float = 0.6  # sessions with a recording, half an hour after their end
    same_key_on_return: bool = False  # a removed person who registers again gets the former key
    meetings: int = 0
    meeting_rate_per_minute: float = 0.0  # new meetings; the other live actions come on top
    meeting_change_share: float = 0.3
    meeting_cancellation_share: float = 0.1
    meeting_start_share: float = 0.5  # somebody starts a recurring meeting outside its rhythm
    meeting_past_share: float = 0.3  # meetings that were held within the 30 days before the start
    meeting_held_share: float = 0.9  # of planned times; at the others nobody comes
    meeting_minutes: float = 30.0  # how long meetings are planned to last
    meeting_visitors: int = 6  # at most so many people in one session
    meeting_recording_share: float = 0.4
    meeting_history_delay_seconds: float = 0.0  # from the end of a session until the history has it
    meeting_recording_delay_seconds: float = 600.0  # until its recording is there
    meeting_attendance_delay_seconds: float = 0.0  # until its attendees show
    meeting_group_size: int = 50  # organizers to a group; group lists refuse more than 50
    truth_path: Path | None = None  # facts are appended here as JSON lines while the simulator serves

    def __post_init__(self) -> None:
        counts = (self.webinars, self.registrants, self.meetings, self.meeting_visitors)
        if self.organizers < 1 or min(*counts, self.rate_per_minute, self.meeting_rate_per_minute) < 0:
            raise ValueError("a world needs at least one organizer, and no count or rate below 0")
        if self.meeting_minutes <= 0 or self.meeting_group_size < 1:
            raise ValueError("meetings need a length above 0, and groups a size of at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """Habits of the API on which its documents and the people who watched it disagree."""

    keys: KeyMode = "spec"  # spec: as documented · wild: as client authors saw them · strings
    refresh_tokens: RefreshMode = "absent"  # in the answer to a refresh: none, the same, a new one
    access_token_seconds: float = 3600.0
    scopes: str = ALL_SCOPES  # what the client may ask for
    redirect_uris: tuple[str, ...] = ()  # empty: any http address on loopback
    oversized_pages: Literal["refuse", "clamp"] = "refuse"  # a page size above 200
    old_lists: bool = True  # whether the v1 list upcomingWebinars still answers
    identity_scope: bool = True  # whether meeting calls that need the scope `identity:` are refused without it
    ended_meetings: Literal["kept", "gone"] = "kept"  # GET of a meeting that is over: still there, or 404


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions:
    """How GoTo's webhooks are sent. Shares are between 0 and 1, each drawn for every event and subscription anew.

    The vendor names the header X-Webhook-Signature and nothing else: encoding, signed content and the header with the
    timestamp (seconds since 1970, only sent where it is signed) are guesses to choose from.
    """

    loss: float = 0.0  # never sent
    duplication: float = 0.0  # sent twice, with the same eventKey
    reordering: float = 0.0  # held back for up to `reordering_seconds`, so that later ones overtake
    reordering_seconds: float = 30.0
    delay_seconds: float = 0.0  # at most, for every event
    forgery: float = 0.0  # accompanied by an invented event with a wrong signature or none
    encoding: Literal["hex", "base64"] = "hex"
    signed: Literal["body", "timestamp.body"] = "body"
    timestamp_header: str = "X-Webhook-Timestamp"
    http_on_loopback: bool = True  # take callbacks such as http://127.0.0.1; the real one wants https
    timeout_seconds: float = 10.0  # real ones, for a probe or a POST

    def __post_init__(self) -> None:
        shares = (self.loss, self.duplication, self.reordering, self.forgery)
        if not all(0 <= share <= 1 for share in shares) or min(self.delay_seconds, self.reordering_seconds) < 0:
            raise ValueError("webhooks: shares are between 0 and 1, and no time is below 0")
