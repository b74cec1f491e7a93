"""Two hosts on one machine with a bad network between them: namespaces that are made for a test.

    host a ──veth── the link: frames are delayed, and some are dropped ──veth── host b

The link is a process that copies Ethernet frames, since not every kernel has netem. Needs root.
"""

from collections.abc import Iterator
from contextlib import contextmanager
import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
SIOCETHTOOL, ETHTOOL_STXCSUM, ETHTOOL_SGSO = 0x8946, 0x17, 0x24
OUTGOING = 4  # the packet type of frames that this host sent itself


class LossyLink:
    """The hosts `a` (10.99.0.1) and `b` (10.99.0.2)."""

    def __init__(self, loss: float, delay: float) -> None:
        """`loss` is the share of frames dropped each way, `delay` is in seconds each way."""
        self.loss, self.delay = loss, delay
        self._names = {host: f'speech-{os.getpid()}-{host}' for host in ('a', 'm', 'b')}
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> 'LossyLink':
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _build(self) -> None:
        for name in self._names.values():
            ip('netns', 'add', name)
        for number, host in enumerate(('a', 'b'), start=1):
            here, middle = self._names[host], self._names['m']
            peer = ('peer', 'name', f'to-{host}', 'netns', middle)
            ip('link', 'add', 'name', 'e0', 'netns', here, 'type', 'veth', *peer)
            ip('-n', here, 'address', 'add', f'10.99.0.{number}/24', 'dev', 'e0')
            ip('-n', here, 'link', 'set', 'lo', 'up')
            ip('-n', here, 'link', 'set', 'e0', 'up')
            ip('-n', middle, 'link', 'set', f'to-{host}', 'up')
            ip('-n', here, 'route', 'add', '224.0.0.0/4', 'dev', 'e0')
            with self.inside(host):
                complete_checksums('e0')
        command = [sys.executable, __file__, str(self.loss), str(self.delay)]
        with self.inside('m'):
            self._process = subprocess.Popen(command)

    def __exit__(self, *_error: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for name in self._names.values():
            subprocess.run(['ip', 'netns', 'del', name], check=False)

    @contextmanager
    def inside(self, host: str) -> Iterator[None]:
        """Be that host, for this thread and its children."""
        before = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        inside = os.open(f'/run/netns/{self._names[host]}', os.O_RDONLY)
        try:
            enter(inside)
            yield
        finally:
            enter(before)
            os.close(inside)
            os.close(before)

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Let nothing through for a while."""
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR1)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGUSR1)


def enter(namespace: int) -> None:
    """Move this thread to a network namespace."""
    if LIBC.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), 'setns')


def ip(*words: str) -> None:
    """Run `ip`."""
    subprocess.run(['ip', *words], check=True)


def complete_checksums(interface: str) -> None:
    """Have the kernel compute checksums: a copied frame has no hardware that would."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command in (ETHTOOL_STXCSUM, ETHTOOL_SGSO):
            value = ctypes.create_string_buffer(struct.pack('II', command, 0))
            request = struct.pack('16sP', interface.encode(), ctypes.addressof(value))
            fcntl.ioctl(any_socket, SIOCETHTOOL, request.ljust(40, b'\0'))


def forward(loss: float, delay: float) -> None:
    """Copy frames between the two interfaces until killed."""
    ends = []
    for interface in ('to-a', 'to-b'):
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        end.bind((interface, 0))
        ends.append(end)
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    chance, numbers = random.Random(1), itertools.count()
    waiting: list[tuple[float, int, socket.socket, bytes]] = []
    cut = False

    def toggle(*_: object) -> None:
        nonlocal cut
        cut = not cut

    signal.signal(signal.SIGUSR1, toggle)
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        ready, _, _ = select.select(ends, [], [], timeout)
        for end in ready:
            frame, address = end.recvfrom(65536)
            if address[2] != OUTGOING and not cut and chance.random() >= loss:
                heapq.heappush(
                    waiting, (time.monotonic() + delay, next(numbers), other[end], frame)
                )
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, end, frame = heapq.heappop(waiting)
            end.send(frame)


if __name__ == '__main__':
    forward(float(sys.argv[1]), float(sys.argv[2]))
