"""Reads from a queue of RabbitMQ by the bytes of AMQP 0-9-1, so that no driver of ours agrees with itself.

https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf, chapters 2.3 and 4.2
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from io import BytesIO

_FRAME = struct.Struct(">BHI")
_NUMBERS = {b"b": 1, b"s": 2, b"I": 4, b"l": 8}  # bytes of each kind in a table
_METHOD, _HEADER, _BODY = 1, 2, 3


@dataclass(frozen=True)
class Read:
    body: bytes
    routing_key: str
    content_type: str
    message_id: str
    delivery_mode: int
    headers: dict[str, str]


def read_all(host: str, port: int, queue: str) -> list[Read]:
    """What is in the queue, in order; it is empty then. As guest, in the virtual host "/"."""
    with socket.create_connection((host, port), timeout=10) as talk:
        stream = talk.makefile("rwb")
        stream.write(b"AMQP\x00\x00\x09\x01")
        stream.flush()
        _expect(stream, 10, 10)
        _say(stream, 0, 10, 11, _long(b"") + _short("PLAIN") + _long(b"\0guest\0guest") + _short("en_US"))
        tune = _expect(stream, 10, 30)
        _say(stream, 0, 10, 31, tune.read(6) + b"\0\0")
        _say(stream, 0, 10, 40, _short("/") + b"\0\0")
        _expect(stream, 10, 41)
        _say(stream, 1, 20, 10, b"\0")
        _expect(stream, 20, 11)
        found = []
        while (read := _get(stream, queue)) is not None:
            found.append(read)
        return found


def _get(stream, queue: str) -> Read | None:
    _say(stream, 1, 60, 70, b"\0\0" + _short(queue) + b"\1")
    answer = _expect(stream, 60, 71, 72)
    if answer.method == 72:
        return None
    answer.read(9)
    _read_short(answer)
    key = _read_short(answer)
    kind, header = _frame(stream)
    assert kind == _HEADER
    header.read(4)
    size, flags = struct.unpack(">QH", header.read(10))
    assert not flags & ~0b1011_0000_1000_0000, "a property that nobody expects"
    content_type = _read_short(header) if flags & 1 << 15 else ""
    headers = _read_table(header) if flags & 1 << 13 else {}
    mode = header.read(1)[0] if flags & 1 << 12 else 0
    message_id = _read_short(header) if flags & 1 << 7 else ""
    body = b""
    while len(body) < size:
        kind, part = _frame(stream)
        assert kind == _BODY
        body += part.read()
    return Read(body, key, content_type, message_id, mode, headers)


class _Method(BytesIO):
    method = 0


def _expect(stream, class_: int, *methods: int) -> _Method:
    kind, frame = _frame(stream)
    assert kind == _METHOD
    found = struct.unpack(">HH", frame.read(4))
    assert found[0] == class_, found
    assert found[1] in methods, found
    frame.method = found[1]
    return frame


def _frame(stream) -> tuple[int, _Method]:
    kind, _, length = _FRAME.unpack(stream.read(_FRAME.size))
    payload = _Method(stream.read(length))
    assert stream.read(1) == b"\xce"
    return kind, payload


def _say(stream, channel: int, class_: int, method: int, arguments: bytes) -> None:
    payload = struct.pack(">HH", class_, method) + arguments
    stream.write(_FRAME.pack(_METHOD, channel, len(payload)) + payload + b"\xce")
    stream.flush()


def _short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _long(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _read_short(stream: BytesIO) -> str:
    return stream.read(stream.read(1)[0]).decode()


def _read_long(stream: BytesIO) -> bytes:
    return stream.read(struct.unpack(">I", stream.read(4))[0])


def _read_table(stream: BytesIO) -> dict[str, str]:
    """Its texts; the server adds counts of its own."""
    inside, table = BytesIO(_read_long(stream)), {}
    while inside.tell() < len(inside.getvalue()):
        name, kind = _read_short(inside), inside.read(1)
        if kind in _NUMBERS:
            inside.read(_NUMBERS[kind])
        else:
            assert kind == b"S", (name, kind)
            table[name] = _read_long(inside).decode()
    return table
