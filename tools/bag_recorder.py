"""Bags without ros2 bag: topics written to an MCAP file, as `ros2 bag record` writes them."""

import os
from pathlib import Path
import time
from typing import Any, BinaryIO

from mcap.writer import Writer
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import serialize_message


def message_file(package: str, name: str) -> Path:
    """Return the file that defines a message."""
    for prefix in os.environ['AMENT_PREFIX_PATH'].split(':'):
        path = Path(prefix, 'share', package, 'msg', f'{name}.msg')
        if path.is_file():
            return path
    raise FileNotFoundError(f'{package}/msg/{name}.msg')


def definition(package: str, name: str) -> str:
    """Return a message's definition with all that it needs, as ros2 bag stores it."""
    found: dict[str, str] = {}

    def add(package: str, kind: str) -> None:
        text = message_file(package, kind).read_text()
        found[f'{package}/{kind}'] = text
        for line in text.splitlines():
            type_ = line.split('#')[0].split(' ')[0].split('[')[0]
            if '/' in type_ or type_[:1].isupper():
                inner = type_.rpartition('/')
                full = (inner[0] or package, inner[2])
                if '/'.join(full) not in found:
                    add(*full)

    add(package, name)
    first, *others = found.items()
    return first[1] + ''.join(f'\n{"=" * 80}\nMSG: {kind}\n{text}' for kind, text in others)


class Bag:
    """An MCAP file that is being written."""

    def __init__(self, file: BinaryIO) -> None:
        """Write to an open file."""
        self._writer = Writer(file)
        self._writer.start(profile='ros2')
        self._channels: dict[str, int] = {}

    def add_topic(self, topic: str, kind: type) -> None:
        """Declare a topic with messages of a type."""
        package, name = kind.__module__.split('.')[0], kind.__name__
        schema = self._writer.register_schema(
            f'{package}/msg/{name}', 'ros2msg', definition(package, name).encode()
        )
        self._channels[topic] = self._writer.register_channel(topic, 'cdr', schema)

    def add(self, topic: str, message: Any, at: int) -> None:
        """Write a message, serialized or not, with its time in nanoseconds."""
        data = message if isinstance(message, bytes) else serialize_message(message)
        self._writer.add_message(self._channels[topic], at, data, at)

    def record(self, node: Any, topic: str, kind: type, latched: bool = False) -> None:
        """Write all that comes on a topic; one thread spins the node."""
        self.add_topic(topic, kind)
        durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        node.create_subscription(
            kind,
            topic,
            lambda data: self.add(topic, data, time.time_ns()),
            QoSProfile(depth=100, durability=durability),
            raw=True,
        )

    def finish(self) -> None:
        """Write the end of the file; no subscription may write any more."""
        self._writer.finish()
