"""What all sinks share: the common settings, what they are built with, and how one event after another is sent."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Annotated, BinaryIO, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from poller.clock import SystemClock
from poller.errors import PollerError, Refused
from poller.fields import Duration, FieldError, PositiveDuration
from poller.formats import Format, FormatName, Template
from poller.ports import Clock, Outcome, Outgoing


def _compiles(text: str, info: ValidationInfo) -> str:
    try:
        Template(text)
    except FieldError as err:
        raise FieldError(f'of sink "{info.data.get("name", "?")}" {err}') from err
    return text


# For every setting that is a template: `template`, and what sinks call `subject`, `topic` or `routing_key`.
TemplateText = Annotated[str, AfterValidator(_compiles)]
PositiveCount = Annotated[int, Field(gt=0, strict=True)]


class SinkSettings(BaseModel):
    """The keys every `[[sinks]]` entry takes."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(min_length=1, description="its identity: what is owed to it is owed to this name")
    type: str = Field(description="what kind of sink it is")
    concurrency: PositiveCount = Field(default=4, le=1000, description="events (or batches) on their way at once")
    timeout: PositiveDuration = Field(default=timedelta(seconds=30), description="for one attempt, connecting included")
    max_age: Duration = Field(
        default=timedelta(days=3), description="a delivery that fails when older is a dead letter"
    )
    format: FormatName = Field(default="cloudevent", description="what is sent of an event")
    template: TemplateText = Field(default="", description='a Jinja2 template, with format = "template"')
    ordered: bool = Field(default=True, description="events of one webinar one after the other, in their order")

    @model_validator(mode="after")
    def _template_and_format_agree(self) -> SinkSettings:
        if bool(self.template) == (self.format == "template"):
            return self
        if self.template:
            raise FieldError(f'sink "{self.name}" has a template; add format = "template"')
        raise FieldError(f'sink "{self.name}" has format = "template"; add template = "…"')


class BatchSettings(SinkSettings):
    """For sinks whose protocol takes several events at once."""

    batch: PositiveCount = Field(default=100, le=100_000, description="events handed over at once, at most")


@dataclass(frozen=True)
class SinkContext:
    """What sinks are built with besides their settings."""

    clock: Clock = field(default_factory=SystemClock)
    random: Random = field(default_factory=Random)
    base: Path = field(default_factory=Path.cwd)  # the folder of the settings file
    stdout: BinaryIO | None = None  # None = this process's own, looked up when the sink connects

    def standard_output(self) -> BinaryIO:
        return self.stdout or sys.stdout.buffer


@dataclass(frozen=True, slots=True)
class Preview:
    """What a sink would hand over for one event. No secret is in it: where one belongs it says `…`."""

    body: bytes
    content_type: str
    target: str = ""  # a request line, a topic, a queue: where the protocol puts it
    headers: Mapping[str, str] = field(default_factory=dict)  # what travels beside the body


class BaseSink:
    """The attributes of `poller.ports.Sink`, taken from the settings.

    `connect` is called again after every failure and may then overlap sends still under way: it must leave a good
    connection alone. `timeout` bounds connecting and sending together; whoever calls `send` enforces it as well.
    In a batch, an event that must wait makes the later ones of its partition wait too: a sink that answers per event
    must not hand those over.
    """

    settings_type: ClassVar[type[SinkSettings]] = SinkSettings

    def __init__(self, settings: SinkSettings, context: SinkContext) -> None:
        self.name = settings.name
        self.concurrency = settings.concurrency
        self.batch = settings.batch if isinstance(settings, BatchSettings) else 1
        self.ordered = settings.ordered
        self.max_age = settings.max_age
        self.timeout = settings.timeout
        self.format = Format(settings.format, settings.template)
        self.context = context

    def preview(self, outgoing: Outgoing) -> Preview:
        """Needs no connection. A sink that sends more than the formatted event says so in one of its own."""
        return Preview(*self.format.encode(outgoing))


async def one_by_one(batch: Sequence[Outgoing], send: Callable[[Outgoing], Awaitable[None]]) -> Sequence[Outcome]:
    """Send event after event. After a failure that is the receiver's, the rest is not tried and fails alike."""
    outcomes: list[Outcome] = []
    for outgoing in batch:
        try:
            await send(outgoing)
            outcomes.append(None)
        except Refused as err:
            outcomes.append(err)
        except PollerError as err:
            return [*outcomes, *[err] * (len(batch) - len(outcomes))]
    return outcomes
