"""What GoTo Webinar answers about all but people, with the vendor's names. Any field may be absent.

Keys are strings, whatever the wire has: they have more digits than JavaScript can count. Times are as GoTo writes them.
"""

from __future__ import annotations

from typing import TypedDict


class TimeRange(TypedDict, total=False):
    startTime: str
    endTime: str


class PageInfo(TypedDict, total=False):
    size: int
    totalElements: int
    totalPages: int
    number: int


class ListedWebinar(TypedDict, total=False):
    webinarKey: str
    webinarID: str
    organizerKey: str
    accountKey: str
    subject: str
    description: str
    times: list[TimeRange]
    timeZone: str
    locale: str
    approvalType: str
    registrationUrl: str
    impromptu: bool
    isPasswordProtected: bool
    recurrenceType: str
    experienceType: str


class WebinarsEmbedded(TypedDict, total=False):
    webinars: list[ListedWebinar]


class WebinarsPage(TypedDict, total=False):
    _embedded: WebinarsEmbedded
    page: PageInfo


class Webinar(TypedDict, total=False):
    webinarKey: str
    webinarID: str
    subject: str
    description: str
    organizerKey: str
    organizerEmail: str
    organizerName: str
    times: list[TimeRange]
    registrationUrl: str
    inSession: bool
    impromptu: bool
    type: str
    timeZone: str
    numberOfRegistrants: int
    registrationLimit: int
    locale: str
    accountKey: str
    recurrencePeriod: str
    experienceType: str
    isPasswordProtected: bool


class CoorganizerName(TypedDict, total=False):
    email: str
    organizerKey: str


class InSessionWebinar(TypedDict, total=False):
    numberOfRegistrants: int
    times: list[TimeRange]
    description: str
    subject: str
    inSession: bool
    organizerKey: str
    webinarKey: str
    webinarID: str
    timeZone: str
    registrationUrl: str
    experienceType: str
    coorganizers: list[CoorganizerName]
    organizerEmail: str
    organizerName: str
    impromptu: bool
    isOndemand: bool


class CreatedWebinar(TypedDict, total=False):
    webinarKey: str
    recurrenceKey: str


class CopiedWebinar(TypedDict, total=False):
    webinarKey: str


class StartUrl(TypedDict, total=False):
    startUrl: str


class Session(TypedDict, total=False):
    sessionKey: str
    webinarKey: str
    webinarName: str
    startTime: str
    endTime: str
    registrantsAttended: int
    registrantCount: int
    accountKey: str
    creatingOrganizerKey: str
    creatingOrganizerName: str
    startingOrganizerKey: str
    startingOrganizerName: str
    totalPollCount: int
    timeZone: str
    experienceType: str
    webinarID: str
    webinarType: int
    numRegLinkClicks: int
    numOpenedInvitations: int
    includeCertificate: bool
    followupEmailTriggered: bool


class SessionsEmbedded(TypedDict, total=False):
    sessionInfoResources: list[Session]


class SessionsPage(TypedDict, total=False):
    _embedded: SessionsEmbedded
    page: PageInfo


class SessionFacts(TypedDict, total=False):
    webinarName: str
    webinarId: str
    sessionKey: str
    timeZone: str
    experienceType: str
    recurrencePeriod: str
    startTime: str
    endTime: str
    registrationEmailOpenedCount: str
    registrationLinkClickedCount: str


class AttendanceFigures(TypedDict, total=False):
    registrantCount: int
    percentageAttendance: float
    averageInterestRating: float
    averageAttentiveness: float
    averageAttendanceTimeSeconds: float


class PollFigures(TypedDict, total=False):
    pollCount: int
    surveyCount: float
    questionsAsked: int
    percentagePollsCompleted: float
    percentageSurveysCompleted: float


class SessionPerformance(TypedDict, total=False):
    sessionInfo: SessionFacts
    attendance: AttendanceFigures
    pollsAndSurveys: PollFigures


class AccessCodes(TypedDict, total=False):
    organizer: str
    panelist: str
    attendee: str


class CallNumbers(TypedDict, total=False):
    accessCodes: AccessCodes
    toll: str
    tollFree: str


class PrivateInfo(TypedDict, total=False):
    attendee: str
    organizer: str
    panelist: str


class Audio(TypedDict, total=False):
    type: str
    confCallNumbers: dict[str, CallNumbers]
    privateInfo: PrivateInfo


class Asset(TypedDict, total=False):
    name: str
    recordingAssetKey: str
    productName: str
    createTime: str
    creatorKey: str
    accountKey: str
    totalReferenceCount: int
    mp4DownloadUrl: str
    transcriptDownloadUrl: str
    recordingShareUrl: str
    webinarKey: str


class AssetsEmbedded(TypedDict, total=False):
    recordingAssets: list[Asset]


class AssetsPage(TypedDict, total=False):
    _embedded: AssetsEmbedded
    page: PageInfo


class RecordingAssetsPage(TypedDict, total=False):
    data: list[Asset]
    total: int
    page: int
    pageSize: int


class SecretKey(TypedDict, total=False):
    id: int
    value: str
    validFrom: str


class Webhook(TypedDict, total=False):
    callbackUrl: str
    eventName: str
    eventVersion: str
    product: str
    webhookKey: str
    state: str
    createTime: str


class WebhooksEmbedded(TypedDict, total=False):
    webhooks: list[Webhook]


class WebhooksAnswer(TypedDict, total=False):
    _embedded: WebhooksEmbedded


class UserSubscription(TypedDict, total=False):
    callbackUrl: str
    eventName: str
    eventVersion: str
    product: str
    webhookKey: str
    userSubscriptionKey: str
    userSubscriptionState: str
    activationState: str
    createTime: str


class UserSubscriptionsEmbedded(TypedDict, total=False):
    userSubscriptions: list[UserSubscription]


class UserSubscriptionsAnswer(TypedDict, total=False):
    _embedded: UserSubscriptionsEmbedded
