"""One connection to an MQTT broker: the protocol is the library's, the socket and its readiness are the loop's."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from poller.errors import Wait
from poller.sinks.server import Address

_KEEP_ALIVE: Final = 60  # seconds; the broker notices within half as much again that we are gone
_TICK: Final = 5.0

_MOST_UNDER_WAY: Final = 65_535  # section 3.1.2.11.3, where the broker names no smaller number

# What a CONNACK (section 3.2.2.2) or a DISCONNECT (section 3.14.2.1) means to a person.
_REASONS: Final = {
    0x01: "it does not speak MQTT 5",  # an older broker's number
    0x84: "it does not speak MQTT 5",
    0x85: "it does not take this client_id",
    0x86: "it refuses these credentials; check username and password",
    0x87: "it does not let us in; check username, password and client_id",
    0x8A: "it has banned us",
    0x8E: "somebody else connected with this client_id",
    0x97: "a quota is used up",
    0x9F: "we connected too often",
}


class Link:
    """One connection, until it is lost; it is never mended."""

    def __init__(self, paho: Any, where: Address) -> None:
        self._paho = paho
        self._where = where
        self._loop = asyncio.get_running_loop()
        self._client: Any = None
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._greeting: asyncio.Future[Any] = self._loop.create_future()
        self._expected: dict[int, asyncio.Future[int]] = {}
        self._room = asyncio.Semaphore(_MOST_UNDER_WAY)
        self.maximum_qos = 2
        self.maximum_packet_size = 0  # bytes; 0 = the protocol's own limit
        self.failure: Wait | None = None  # why nothing more goes over it

    async def open(self, client_id: str, tls: ssl.SSLContext | None) -> None:
        """Raises Wait or OSError."""
        where, paho = self._where, self._paho
        client = self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        if where.username or where.password:
            client.username_pw_set(where.username, where.password or None)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_unsubscribe = self._on_unsubscribe
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_socket_register_write
        client.on_socket_unregister_write = self._on_socket_unregister_write
        client.max_inflight_messages_set(0)  # we count them, as the broker says; beyond it the library keeps them back
        self._hear_refusals(client)
        sock = self._socket = await _connected(where, tls)
        client._create_socket = lambda: sock  # its own would hold up the loop while it connects
        client.connect(where.host, where.port, keepalive=_KEEP_ALIVE, clean_start=True)
        self._loop.add_reader(sock, self._readable)
        self._timer = self._loop.call_later(_TICK, self._tick)
        properties = await self._greeting
        self.maximum_qos = getattr(properties, "MaximumQoS", 2)
        self.maximum_packet_size = getattr(properties, "MaximumPacketSize", 0)
        self._room = asyncio.Semaphore(min(_MOST_UNDER_WAY, getattr(properties, "ReceiveMaximum", _MOST_UNDER_WAY)))

    def properties(self, content_type: str, pairs: Sequence[tuple[str, str]]) -> Any:
        """Raises ValueError for text that the protocol cannot carry."""
        properties = self._paho.Properties(self._paho.PacketTypes.PUBLISH)
        try:
            properties.ContentType = content_type
            properties.UserProperty = list(pairs)
        except Exception as err:
            raise ValueError(type(err).__name__) from err
        return properties

    async def publish(self, topic: str, body: bytes, qos: int, properties: Any) -> int:
        """The reason code of the acknowledgement; 0 for QoS 0 as soon as it is sent. Raises Wait."""
        async with self._room:
            self._require_good()
            sent = self._client.publish(topic, body, qos=qos, properties=properties)
            return await self._answer(sent.rc, sent.mid)

    async def round_trip(self) -> None:
        """To the broker and back, with what changes nothing there. Raises Wait."""
        self._require_good()
        await self._answer(*self._client.unsubscribe("goto-poller/check"))

    def drop(self, failure: Wait) -> None:
        """The connection is over; whoever waits for an answer hears why. Twice is harmless."""
        self.failure = self.failure or failure
        expected, self._expected = self._expected, {}
        for answer in (self._greeting, *expected.values()):
            if not answer.done():
                answer.set_exception(self.failure)
        if self._greeting.done() and not self._greeting.cancelled():
            self._greeting.exception()  # heard, also where nobody waits any more
        if self._timer is not None:
            self._timer.cancel()
        sock = self._forget_socket()
        if sock is not None:
            sock.close()

    def close(self) -> None:
        if self._client is not None and self.failure is None and self._greeting.done():
            with suppress(Exception):  # a word of farewell, if there is room for it
                self._client.disconnect()
                self._client.loop_write()
        self.drop(Wait(f"{self._where}: closed"))

    def _require_good(self) -> None:
        if self.failure is not None:
            raise self.failure

    async def _answer(self, result: int, number: int | None) -> int:
        if result or number is None:
            self.drop(Wait(f"{self._where}: the connection was lost"))
            self._require_good()
        assert number is not None
        answer: asyncio.Future[int] = self._loop.create_future()
        self._expected[number] = answer
        try:
            return await answer
        finally:
            self._expected.pop(number, None)

    # ── what the library tells ───────────────────────────────────────────────────────────────────────────────────────

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, properties: Any) -> None:
        if reason.value:
            self.drop(Wait(f"{self._where}: {_explained(reason.value)}"))
        elif not self._greeting.done():
            self._greeting.set_result(properties)

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        told = f": {_explained(reason.value)}" if flags.is_disconnect_packet_from_server and reason.value else ""
        self.drop(Wait(f"{self._where}: the connection was lost{told}"))

    def _on_publish(self, _client: Any, _data: Any, number: int, reason: Any, _properties: Any) -> None:
        self._told(number, reason.value)

    def _on_unsubscribe(self, _client: Any, _data: Any, number: int, _reasons: Any, _properties: Any) -> None:
        self._told(number, 0)

    def _told(self, number: int, code: int) -> None:
        answer = self._expected.pop(number, None)
        if answer is not None and not answer.done():
            answer.set_result(code)

    def _hear_refusals(self, client: Any) -> None:
        """The library takes the first refusal of QoS 2 (section 3.5.2.1) for a yes, and a reason code that the
        standard does not name for this packet, as some brokers send, for the end of the connection."""
        for name in ("_handle_pubrec", "_handle_pubackcomp"):
            setattr(client, name, self._unless_refused(client, getattr(client, name)))

    def _unless_refused(self, client: Any, go_on: Any) -> Any:
        def handle(*arguments: Any) -> Any:
            packet = bytes(client._in_packet["packet"])
            if len(packet) < 3 or packet[2] < 0x80:
                return go_on(*arguments)
            number = int.from_bytes(packet[:2], "big")
            client._out_messages.pop(number, None)
            self._told(number, packet[2])
            return self._paho.MQTT_ERR_SUCCESS

        return handle

    # ── the socket ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _readable(self) -> None:
        self._guarded(self._read)

    def _read(self) -> None:
        self._client.loop_read()
        # What TLS has decrypted already makes no socket readable.
        while self._socket is not None and getattr(self._socket, "pending", int)():
            self._client.loop_read()

    def _writable(self) -> None:
        self._guarded(self._client.loop_write)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(_TICK, self._tick)
        self._guarded(self._client.loop_misc)

    def _guarded(self, step: Any) -> None:
        try:
            step()
        except Exception as err:  # whatever the library makes of bytes that are not MQTT
            self.drop(Wait(f"{self._where}: the connection was lost: {type(err).__name__}"))

    def _on_socket_register_write(self, *_: Any) -> None:
        if self._socket is not None:
            self._loop.add_writer(self._socket, self._writable)

    def _on_socket_unregister_write(self, *_: Any) -> None:
        if self._socket is not None:
            self._loop.remove_writer(self._socket)

    def _on_socket_close(self, *_: Any) -> None:
        self._forget_socket()

    def _forget_socket(self) -> socket.socket | None:
        """Before it is closed: the loop would go on with whatever gets its number next."""
        sock, self._socket = self._socket, None
        if sock is not None and sock.fileno() >= 0:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
        return sock


def _explained(code: int) -> str:
    return _REASONS.get(code, f"reason code 0x{code:02X}")


async def _connected(where: Address, tls: ssl.SSLContext | None) -> socket.socket:
    loop = asyncio.get_running_loop()
    failure: OSError = OSError(f"{where.host} has no address")
    for family, kind, protocol, _, there in await loop.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, there)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock if tls is None else await _with_tls(sock, tls, where.host)
        except OSError as err:
            sock.close()
            failure = err
            if isinstance(err, ssl.SSLError):
                break
        except BaseException:
            sock.close()
            raise
    raise failure


async def _with_tls(plain: socket.socket, tls: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    sock = tls.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
    try:
        while True:
            try:
                sock.do_handshake()
                return sock
            except ssl.SSLWantReadError:
                await _ready(sock, reading=True)
            except ssl.SSLWantWriteError:
                await _ready(sock, reading=False)
    except BaseException:
        sock.close()
        raise


async def _ready(sock: ssl.SSLSocket, *, reading: bool) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    add, remove = (loop.add_reader, loop.remove_reader) if reading else (loop.add_writer, loop.remove_writer)
    add(sock, ready.set)
    try:
        await ready.wait()
    finally:
        remove(sock)
