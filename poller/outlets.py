"""Every sink there is, of the settings, of this process and of subscriptions; and the triggers that lead to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from poller.consumers import Consumer, ConsumerTrigger
from poller.dispatcher import Dispatcher
from poller.errors import UsageError
from poller.ports import Sink
from poller.settings import Settings
from poller.sinks.base import SinkContext
from poller.subscriptions import Subscriptions
from poller.triggers import Triggers, TriggerSettings, Warn
from poller.vault import Vault
from state.store import Store


class Outlets:
    """`changed` is called when sinks came or went beside the settings: events are to be routed anew."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        context: SinkContext,
        dispatcher: Dispatcher,
        settings: Callable[[], Settings],
        changed: Callable[[], None],
    ) -> None:
        self.consumers: dict[str, Consumer] = {}
        self._stored: dict[str, tuple[str, ...]] = {}  # consumers that the state knew at the start, and their types
        self.subscriptions = Subscriptions(
            store, vault, context, dispatcher, changed, lambda: settings().http.allow_private
        )
        self._store = store
        self._dispatcher = dispatcher
        self._settings = settings
        self._changed = changed

    async def load(self) -> None:
        await self._store.register_sinks([sink.name for sink in self._settings().sinks])
        self._stored = {name: tuple(types) for name, types in (await self._store.consumers()).items()}
        await self.subscriptions.load()
        if self._stored:
            self._changed()

    def forget(self, name: str) -> None:
        """A consumer that is away will not come back."""
        if self._stored.pop(name, None) is not None:
            self._changed()

    @property
    def away(self) -> dict[str, tuple[str, ...]]:
        """Consumers of programs that are not running, and what they want."""
        served = set(self.names)
        return {name: types for name, types in self._stored.items() if name not in served}

    @property
    def names(self) -> list[str]:
        return [*(sink.name for sink in self._settings().sinks), *self.consumers, *self.subscriptions.sinks]

    def triggers(self, settings: Settings, warn: Warn) -> Triggers:
        written = settings.effective_triggers()
        wanted = {**self.away, **{name: consumer.types for name, consumer in self.consumers.items()}}
        sinks = [sink.name for sink in settings.sinks]
        own = (ConsumerTrigger(name, types) for name, types in wanted.items() if name not in sinks)
        found: list[TriggerSettings] = [*written, *own, *self.subscriptions.triggers(written)]
        return Triggers(found, sinks, warn)

    async def exchange(self, before: Settings, after: Settings, sinks: Iterable[Sink]) -> None:
        """Serve these sinks of the new settings; whatever has not changed goes on undisturbed."""
        old = {sink.name: sink for sink in before.sinks}
        new = {sink.name: sink for sink in after.sinks}
        await self._store.register_sinks(list(new))
        for name in old.keys() - new.keys():
            await self._dispatcher.remove(name)
        for sink in sinks:
            if old.get(sink.name) != new[sink.name]:
                await self._dispatcher.add(sink)
        if before.http.allow_private != after.http.allow_private:
            await self.subscriptions.rebuild()

    async def add_consumer(self, consumer: Consumer) -> None:
        """A sink of this process with its own trigger; what it is owed survives the process under its name."""
        name = consumer.sink.name
        if name in {sink.name for sink in self._settings().sinks}:
            raise UsageError(f'a sink named "{name}" stands in the settings; give the consumer another name')
        await self._store.save_consumer(name, consumer.types)
        served, self.consumers[name] = self.consumers.get(name), consumer
        self._changed()
        if served is None or served.sink is not consumer.sink:  # or else only the types are others
            await self._dispatcher.add(consumer.sink)
