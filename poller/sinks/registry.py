"""Which types of sinks there are. Each is imported when it is first asked for, so that drivers cost nothing unused.

A package of a third party adds types through the entry-point group `poller.sinks`: the name is the type, the object a
class with `settings_type` (a SinkSettings) that is built as `cls(settings, context)` and is a `poller.ports.Sink`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Protocol

from poller.errors import UsageError
from poller.ports import Sink
from poller.sinks.base import SinkContext, SinkSettings
from poller.sinks.server import TlsSettings, tls_context

GROUP: Final = "poller.sinks"

_BUILT_IN: Final = {
    "file": "poller.sinks.file:FileSink",
    "function": "poller.sinks.function:FunctionSink",
    "kafka": "poller.sinks.kafka:KafkaSink",
    "mqtt": "poller.sinks.mqtt:MqttSink",
    "nats": "poller.sinks.nats:NatsSink",
    "notify": "poller.sinks.notify:NotifySink",
    "postgres": "poller.sinks.postgres:PostgresSink",
    "rabbitmq": "poller.sinks.rabbitmq:RabbitmqSink",
    "redis": "poller.sinks.redis:RedisSink",
    "sqs": "poller.sinks.sqs:SqsSink",
    "stdout": "poller.sinks.stdout:StdoutSink",
    "webhook": "poller.sinks.webhook:WebhookSink",
}


class SinkType(Protocol):
    settings_type: type[SinkSettings]

    def __call__(self, settings: Any, context: SinkContext) -> Sink: ...


def sink_types() -> list[str]:
    """All known types, sorted."""
    return sorted({*_BUILT_IN, *_third_parties()})


def sink_settings(type_: str) -> type[SinkSettings]:
    """The model of a type's settings. Raises KeyError for an unknown type."""
    return _load(type_).settings_type


def build_sink(settings: SinkSettings, context: SinkContext) -> Sink:
    """The sink of one `[[sinks]]` entry, not connected yet. Raises UsageError if its settings cannot work."""
    if isinstance(settings, TlsSettings) and (settings.ca_file or settings.cert_file):
        tls_context(settings)  # a file that is not there is told at the start, not at the first event
    return _load(settings.type)(settings, context)


def _load(type_: str) -> SinkType:
    if type_ in _BUILT_IN:
        module, _, name = _BUILT_IN[type_].partition(":")
        found: SinkType = getattr(import_module(module), name)
        return found
    return _load_third_party(type_, _third_parties()[type_])


def _load_third_party(type_: str, point: EntryPoint) -> SinkType:
    try:
        found: SinkType = point.load()
    except Exception as err:  # whatever foreign code raises while it is imported
        raise UsageError(f'the sink type "{type_}" ({point.value}) cannot be imported: {err}') from err
    if not issubclass(getattr(found, "settings_type", object), SinkSettings):
        raise UsageError(f'the sink type "{type_}" ({point.value}) has no settings_type derived from SinkSettings')
    return found


def _third_parties() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
