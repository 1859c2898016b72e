"""What a handler gives back, and the error bodies GoTo's services were seen to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from zlib import crc32

import msgspec

JSON = "application/json"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, complete."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class ApiError(Exception):
    """The answer is an error; raised by handlers, turned into the answer at the desk."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def json_answer(payload: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, msgspec.json.encode(payload), JSON, headers or {})


def application_error(status: int, code: str, description: str, **more: object) -> ApiError:
    """The shape of the webinar application: errorCode, description, incident."""
    incident = str(7_000_000_000_000_000_000 + crc32(description.encode()))
    body = {"errorCode": code, "description": description, "incident": incident, **more}
    return ApiError(json_answer(body, status))


def bad_request(description: str) -> ApiError:
    return application_error(400, "BadRequest", description)


def unknown(what: str) -> ApiError:
    """`what` no such key stands for: Webinar, Registrant and so on."""
    return application_error(404, "NotFound", f"{what} with specified key does not exist.")


def not_yours() -> ApiError:
    """A sound token that has no right to this organizer, account or product."""
    return application_error(403, "AccessDenied", "The caller has no access to this resource.")


def unrouted() -> ApiError:
    return ApiError(json_answer({"errorCode": "NOT_FOUND", "message": "Not found"}, 404))


def invalid_token() -> ApiError:
    """The gateway of api.getgo.com on a missing, unknown or expired token: 403, not 401."""
    body = {"int_err_code": "InvalidToken", "msg": "Invalid token passed"}
    return ApiError(json_answer(body, 403, {"x-amzn-errortype": "UnauthorizedException"}))


def invalid_identity_token() -> ApiError:
    """The identity service in the same case: an empty body and the reason in a header."""
    return ApiError(Answer(401, headers={"WWW-Authenticate": 'Bearer realm="identity", error="invalid_token"'}))


def too_many_requests(headers: Mapping[str, str]) -> Answer:
    return json_answer({"errorCode": "TooManyRequests", "description": "Rate limit exceeded."}, 429, headers)


def oauth_error(status: int, error: str, description: str) -> ApiError:
    """RFC 6749, section 5.2."""
    headers = {"WWW-Authenticate": "Basic"} if status == 401 else {}
    return ApiError(json_answer({"error": error, "error_description": description}, status, headers))
