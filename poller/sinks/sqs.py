"""Events as messages of an Amazon SQS queue, standard or FIFO, up to ten in one request.

CloudEvents has no binding for SQS: the formatted event is the message's body, and three attributes beside it (`id`,
`type`, `content-type`) let a consumer choose and drop without reading it.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from poller.errors import PollerError, Refused, UsageError, Wait
from poller.fields import FieldError, Secret
from poller.ports import Outcome, Outgoing
from poller.sinks.base import BaseSink, BatchSettings, PositiveCount, Preview, SinkContext
from poller.sinks.server import TlsSettings, driver, tls_context, unreachable

# What one request may hold in all, attributes included. Newer queues take four times that; a larger event goes alone.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
_REQUEST_BYTES: Final = 262_144
_REQUEST_ENTRIES: Final = 10

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html (MessageGroupId)
_GROUP: Final = re.compile(r"[!-~]{1,128}")
_REGION: Final = re.compile(r"(?:^|\.)sqs(?:-fips)?\.([a-z0-9-]+)\.|^([a-z0-9-]+)\.queue\.amazonaws\.")

# What the driver reads from its own files when a client is made: read beforehand, in a thread.
_MODELS: Final = ("service-2", "endpoint-rule-set-1")
_TABLES: Final = ("endpoints", "partitions")

# Codes that speak of one message, or of one request that is too much at once. The last part of their dotted names.
_REFUSALS: Final = frozenset(
    {"BatchRequestTooLong", "InvalidMessageContents", "InvalidParameterValue", "InvalidParameterValueException"}
)
_NO_QUEUE: Final = frozenset({"NonExistentQueue", "QueueDoesNotExist", "InvalidAddress"})
_FORBIDDEN: Final = frozenset({"AccessDenied", "AccessDeniedException"})
_UNKNOWN: Final = frozenset(
    {"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
    | {"AuthFailure", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "MissingAuthenticationToken"}
    | {"InvalidSecurity", "NotAuthorized", "OptInRequired"}
)


def _web_address(text: str, info: ValidationInfo) -> str:
    whose = f'of sink "{info.data.get("name", "?")}"'
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for a port that is no number
    except ValueError as err:
        raise FieldError(f"{whose} is not a web address") from err
    if parts.username is not None:
        raise FieldError(f"{whose} holds credentials; write them as access_key_id and secret_access_key")
    if parts.scheme not in ("http", "https") or not parts.hostname or any(c.isspace() for c in text):
        raise FieldError(f"{whose} is not a web address, such as https://sqs.eu-west-1.amazonaws.com/123456789012/goto")
    return text


def _queue_address(text: str, info: ValidationInfo) -> str:
    if not urlsplit(_web_address(text, info)).path.strip("/"):
        raise FieldError(f'of sink "{info.data.get("name", "?")}" ends without the name of a queue')
    return text


class SqsSettings(TlsSettings, BatchSettings):
    queue_url: Annotated[str, AfterValidator(_queue_address)] = Field(
        description="the queue; a name that ends in .fifo makes it a FIFO queue"
    )
    endpoint_url: Annotated[str, AfterValidator(_web_address)] | None = Field(
        default=None, description="where SQS answers, if not at the queue's own host"
    )
    region: str = Field(default="", description="unset: the one in queue_url, else the one AWS's own settings say")
    access_key_id: Secret | None = Field(
        default=None, description="unset: credentials come from the environment, AWS's own files or the machine's role"
    )
    secret_access_key: Secret | None = Field(default=None, description="belongs to access_key_id")
    batch: PositiveCount = Field(default=_REQUEST_ENTRIES, le=_REQUEST_ENTRIES, description="messages in one request")

    @model_validator(mode="after")
    def _a_key_has_its_secret(self) -> SqsSettings:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise FieldError(f'sink "{self.name}" takes access_key_id and secret_access_key together, or neither')
        return self


class SqsSink(BaseSink):
    """The queue answers per message, and may take one of a request although it has failed the one before. So a FIFO
    queue gets of each group one message per request, unless `ordered = false`. Nothing is sent after one that must
    wait.
    """

    settings_type = SqsSettings

    def __init__(self, settings: SqsSettings, context: SinkContext) -> None:
        super().__init__(settings, context)
        tls_context(settings)  # its files are looked at before they are needed
        self._settings = settings
        self._seconds = self.timeout.total_seconds()
        parts = urlsplit(settings.queue_url)
        self._queue = parts.path.rpartition("/")[2]
        self._fifo = self._queue.endswith(".fifo")
        self._endpoint = settings.endpoint_url or f"{parts.scheme}://{parts.netloc}"
        self._host = urlsplit(self._endpoint).netloc
        self._errors: Any = None  # botocore.exceptions
        self._client: Any = None
        self._distrusted = False  # the credentials were not accepted: those of AWS's own files may have changed since

    async def connect(self) -> None:
        """Prepares the pool; connections are made by requests."""
        if self._distrusted:
            await self.close()
        if self._client is None:
            session = (await asyncio.to_thread(driver, "aiobotocore.session", "sqs")).get_session()
            self._errors = driver("botocore.exceptions", "sqs")
            async with self._explaining():
                await asyncio.to_thread(_read_models, session.get_component("data_loader"))
                self._client = await session.create_client("sqs", **self._options()).__aenter__()
            self._distrusted = False

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        assert self._client is not None, "connect comes first"
        outcomes: list[Outcome] = [Wait("it was not sent")] * len(batch)
        entries: list[tuple[int, dict[str, Any]]] = []
        for place, outgoing in enumerate(batch):
            try:
                entries.append((place, self._entry(outgoing)))
            except Refused as err:
                outcomes[place] = err
        try:
            async with self._explaining():
                await self._hand_over(deque(_requests(entries, one_by_group=self._fifo and self.ordered)), outcomes)
        except PollerError as err:
            for place, _ in entries:
                if isinstance(outcomes[place], Wait):
                    outcomes[place] = err
        return self._held_back(batch, outcomes) if self.ordered or self._fifo else outcomes

    async def check(self) -> str:
        await self.connect()
        names = ["ApproximateNumberOfMessages"]
        try:
            async with self._explaining():
                found = await self._client.get_queue_attributes(QueueUrl=self._settings.queue_url, AttributeNames=names)
        except _Forbidden:
            return f"{self._host} knows us, but lets us not look at the queue {self._queue} (sqs:GetQueueAttributes)"
        kind = "FIFO queue" if self._fifo else "queue"
        return f"{self._host}: {kind} {self._queue}, about {found['Attributes'][names[0]]} messages"

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def preview(self, outgoing: Outgoing) -> Preview:
        entry = self._entry(outgoing)
        attributes = {name: value["StringValue"] for name, value in entry.pop("MessageAttributes").items()}
        body = entry.pop("MessageBody").encode()
        return Preview(body, attributes["content-type"], f"SendMessageBatch {self._queue}", {**attributes, **entry})

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _entry(self, outgoing: Outgoing) -> dict[str, Any]:
        """One message, without its place in the request."""
        body, content_type = self.format.encode(outgoing)
        if not body:
            raise Refused("the template made an empty text, which SQS does not take")
        named = {"id": outgoing.id, "type": outgoing.type, "content-type": content_type}
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in named.items()}
        entry = {"MessageBody": body.decode(), "MessageAttributes": attributes}
        if self._fifo:
            entry |= {"MessageGroupId": _group(outgoing.partition), "MessageDeduplicationId": outgoing.id}
        return entry

    async def _hand_over(self, requests: deque[list[tuple[int, dict[str, Any]]]], outcomes: list[Outcome]) -> None:
        """One request after the other; what becomes of each message is noted as soon as it is known.

        A request that is refused as a whole is halved until those are found whom it is about. Ends with the first
        message that must wait.
        """
        while requests:
            request = requests.popleft()
            entries = [{"Id": str(place), **entry} for place, entry in request]
            try:
                answer = await self._client.send_message_batch(QueueUrl=self._settings.queue_url, Entries=entries)
            except self._errors.ClientError as err:
                if _code(err) not in _REFUSALS:
                    raise
                if len(request) > 1:
                    half = len(request) // 2
                    requests.extendleft((request[half:], request[:half]))
                else:
                    outcomes[request[0][0]] = Refused(f"SQS refuses it: {_code(err)}")
                continue
            answered = _outcomes(answer)
            for place, _ in request:
                outcomes[place] = answered.get(place, Wait(f"{self._host} did not say what became of it"))
            waiting = (outcomes[place] for place, _ in request if isinstance(outcomes[place], Wait))
            if (first := next(waiting, None)) is not None:
                raise first

    def _held_back(self, batch: Sequence[Outgoing], outcomes: Iterable[Outcome]) -> list[Outcome]:
        held: dict[str, Wait] = {}
        result: list[Outcome] = []
        for outgoing, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Wait):
                held.setdefault(outgoing.partition, outcome)
            elif outcome is None and outgoing.partition in held:
                outcome = held[outgoing.partition]
            result.append(outcome)
        return result

    # ── the client ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _options(self) -> dict[str, Any]:
        """For `create_client`. Its own repetitions are off: the engine's schedule is the only one."""
        settings = self._settings
        found = _REGION.search(urlsplit(settings.queue_url).hostname or "")
        certificate = (str(settings.cert_file), str(settings.key_file or settings.cert_file))
        config = driver("aiobotocore.config", "sqs").AioConfig(
            connect_timeout=self._seconds,
            read_timeout=self._seconds,
            max_pool_connections=self.concurrency,
            retries={"mode": "standard", "total_max_attempts": 1},
            client_cert=certificate if settings.cert_file else None,
        )
        key, secret = settings.access_key_id, settings.secret_access_key
        return {
            "endpoint_url": self._endpoint,
            "region_name": settings.region or (found and (found[1] or found[2])) or None,
            "aws_access_key_id": key.reveal() if key else None,
            "aws_secret_access_key": secret.reveal() if secret else None,
            "verify": str(settings.ca_file) if settings.ca_file and settings.verify_tls else settings.verify_tls,
            "config": config,
        }

    @asynccontextmanager
    async def _explaining(self) -> AsyncIterator[None]:
        """Bounds what it surrounds by `timeout`; failures come out in words of our own."""
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except self._errors.ClientError as err:
            raise self._answered(err) from err
        except (self._errors.NoCredentialsError, self._errors.PartialCredentialsError) as err:
            self._distrusted = True
            raise Wait("no credentials were found; set access_key_id and secret_access_key, or those of AWS") from err
        except self._errors.NoRegionError as err:
            raise UsageError(f'sink "{self.name}": add region, such as region = "eu-west-1"') from err
        except (self._errors.ConnectTimeoutError, self._errors.ReadTimeoutError) as err:
            raise unreachable(self._host, TimeoutError(), self._seconds) from err
        except (self._errors.BotoCoreError, OSError) as err:
            raise unreachable(self._host, _root(err), self._seconds) from err

    def _answered(self, err: Any) -> Wait:
        """Never with the service's text, which may repeat what was sent."""
        code = _code(err)
        if code in _NO_QUEUE:
            return Wait(
                f"{self._host}: the queue {self._queue} is not there; create it, or correct queue_url and region"
            )
        if code in _FORBIDDEN:
            return _Forbidden(f"{self._host}: these credentials may not send to {self._queue}; allow sqs:SendMessage")
        if code in _UNKNOWN:
            self._distrusted = True
            return Wait(f"{self._host} does not accept these credentials ({code}); correct them, or the region")
        status = err.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
        return Wait(f"{self._host} answered {status} {code}".replace("  ", " "))


class _Forbidden(Wait):
    """Known to the service, but not allowed to do this."""


def _requests(
    entries: Iterable[tuple[int, dict[str, Any]]], *, one_by_group: bool
) -> list[list[tuple[int, dict[str, Any]]]]:
    """As many together as one request may hold. `one_by_group`: of a group one, and its next in a later request."""
    requests: list[list[tuple[int, dict[str, Any]]]] = []
    rooms: list[int] = []
    after: dict[str, int] = {}  # group → the first request that its next message may travel in
    for place, entry in entries:
        size, group = _size(entry), entry.get("MessageGroupId", "") if one_by_group else ""
        number = after.get(group, 0)
        while number < len(requests) and (len(requests[number]) == _REQUEST_ENTRIES or size > rooms[number]):
            number += 1
        if number == len(requests):
            requests.append([])
            rooms.append(_REQUEST_BYTES)
        requests[number].append((place, entry))
        rooms[number] -= size
        after[group] = number + 1 if one_by_group else number
    return requests


def _size(entry: dict[str, Any]) -> int:
    """Bytes, as SQS counts them: the body, and the names, types and values of the attributes."""
    attributes = entry["MessageAttributes"].items()
    return len(entry["MessageBody"].encode()) + sum(
        len(text.encode()) for name, value in attributes for text in (name, value["DataType"], value["StringValue"])
    )


def _outcomes(answer: Any) -> dict[int, Outcome]:
    """By place in the batch."""
    outcomes: dict[int, Outcome] = {int(entry["Id"]): None for entry in answer.get("Successful", ())}
    for entry in answer.get("Failed", ()):
        code = entry["Code"]
        failure = Refused(f"SQS refuses it: {code}") if entry["SenderFault"] else Wait(f"SQS failed: {code}")
        outcomes[int(entry["Id"])] = failure
    return outcomes


def _group(partition: str) -> str:
    """The partition, if SQS takes it for a group's name; else a name made of it, equal for equal partitions."""
    if _GROUP.fullmatch(partition):
        return partition
    return hashlib.sha256(partition.encode()).hexdigest()


def _code(err: Any) -> str:
    """`QueueDoesNotExist` also of `AWS.SimpleQueueService.QueueDoesNotExist` and `com.amazonaws.sqs#…`."""
    return re.split(r"[.#]", str(err.response.get("Error", {}).get("Code", "")))[-1]


def _root(err: BaseException) -> BaseException:
    """The error of the socket or of TLS that the driver's own were made of, if there is one."""
    wrapped = err.__cause__ or err.__context__
    while wrapped is not None:
        inner = getattr(wrapped, "certificate_error", None) or getattr(wrapped, "os_error", None) or wrapped
        if isinstance(inner, OSError):  # ssl.SSLError is one, too
            return inner
        wrapped = wrapped.__cause__ or wrapped.__context__
    return err


def _read_models(loader: Any) -> None:
    """What is not there by this name is read, or missed, by the driver itself."""
    with suppress(Exception):
        for name in _MODELS:
            loader.load_service_model("sqs", name)
        for name in _TABLES:
            loader.load_data(name)
