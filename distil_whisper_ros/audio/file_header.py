"""Recordings whose header tells a wrong length: the recorder was cut off, or wrote to a pipe."""

from dataclasses import dataclass
import io
from typing import Any, BinaryIO, Literal

UNKNOWN = 0x7FFF_0000  # bytes: a recorder that writes to a pipe tells so many, or more
MANY = (1 << 36) - 1  # samples: the most that the header of FLAC can tell


@dataclass(frozen=True)
class _Layout:
    """A format of chunks, each with its name, length and content."""

    order: Literal['little', 'big']
    first: int
    """Place of the first chunk."""
    size: int
    """Bytes of a length."""
    audio: bytes
    """Name of the chunk with the audio."""


LAYOUTS = {
    b'RIFF': _Layout('little', 12, 4, b'data'),
    b'RIFX': _Layout('big', 12, 4, b'data'),
    b'FORM': _Layout('big', 12, 4, b'SSND'),
    b'caff': _Layout('big', 8, 8, b'data'),
}


def repaired(file: BinaryIO) -> tuple[Any, str]:
    """Return a recording with a right header, and what was wrong as a sentence, or ''.

    A file of another kind, or with a right header, is returned as it is. What is returned reads
    through `file`, from its beginning.
    """
    file.seek(0)
    head = file.read(32)
    end = file.seek(0, io.SEEK_END)
    patches: dict[int, bytes] = {}
    notice = ''
    if head[:4] in LAYOUTS:
        patches, notice = _repair_chunks(file, LAYOUTS[head[:4]], end)
    elif head[:4] == b'.snd' and len(head) >= 12:
        begin, told = int.from_bytes(head[4:8], 'big'), int.from_bytes(head[8:12], 'big')
        notice = _notice(told, end - begin)
        if notice:
            patches = {8: _bytes(end - begin, 4, 'big')}
    elif head[:4] == b'fLaC' and len(head) >= 26 and not _flac_samples(head):
        # Readers stop at the end of the file; libsndfile refuses a length that is not known.
        known = int.from_bytes(head[21:26], 'big')
        patches = {21: (known | MANY).to_bytes(5, 'big')}
    file.seek(0)
    return (Patched(file, patches) if patches else file), notice


def _flac_samples(head: bytes) -> int:
    """Return the number of samples that the header of FLAC tells; 0 if it is not known."""
    return int.from_bytes(head[21:26], 'big') & MANY


def _repair_chunks(file: BinaryIO, layout: _Layout, end: int) -> tuple[dict[int, bytes], str]:
    """Return the new bytes of the header by their place, and what was wrong; or {} and ''."""
    place, order = layout.first, layout.order
    head = 4 + layout.size
    while place + head <= end:
        file.seek(place)
        chunk = file.read(head)
        told = int.from_bytes(chunk[4:], order)
        begin = place + head
        if chunk[:4] == layout.audio:
            there = end - begin
            if told < there and _chunks_follow(file, layout, begin + told, end):
                return {}, ''
            notice = _notice(told, there)
            patches = {place + 4: _bytes(there, layout.size, order)}
            if layout.first == 12:  # the length of the whole is told, too
                patches[4] = _bytes(end - 8, 4, order)
            return (patches if notice else {}), notice
        place = begin + told + told % 2
    return {}, ''


def _notice(told: int, there: int) -> str:
    """Return what is wrong with a header, as a sentence; or ''.

    `told` bytes of audio are in the header, and `there` in the file.
    """
    if told == there or there <= 0:
        return ''
    if told >= UNKNOWN:
        return 'its header tells no length, as of a recorder that was cut off: all is read'
    if told < there:
        return f'its header tells {told} bytes of audio, but {there} are there: all are read'
    return f'its header tells {told} bytes of audio, but only {there} are there'


def _bytes(number: int, size: int, order: Literal['little', 'big']) -> bytes:
    """Return a number as bytes, or the largest one that they can hold."""
    return min(number, (1 << 8 * size) - 1).to_bytes(size, order)


def _chunks_follow(file: BinaryIO, layout: _Layout, place: int, end: int) -> bool:
    """Return whether chunks, as of a title, fill the file from `place` on."""
    place += place % 2  # chunks begin at even places
    head = 4 + layout.size
    while place + head <= end:
        file.seek(place)
        chunk = file.read(head)
        size = int.from_bytes(chunk[4:], layout.order)
        if not all(32 <= letter < 127 for letter in chunk[:4]) or place + head + size > end:
            return False
        place += head + size + size % 2
    return True


class Patched(io.RawIOBase):
    """A file of which some bytes are others."""

    def __init__(self, file: BinaryIO, patches: dict[int, bytes]) -> None:
        """`patches` are the new bytes by their place."""
        super().__init__()
        self._file, self._patches = file, patches

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it has places."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()

    def readinto(self, buffer) -> int:
        """Read into a buffer; return how many bytes."""
        begin = self._file.tell()
        data = bytearray(self._file.read(len(buffer)))
        for place, patch in self._patches.items():
            first, last = max(begin, place), min(begin + len(data), place + len(patch))
            if first < last:
                data[first - begin : last - begin] = patch[first - place : last - place]
        buffer[: len(data)] = data
        return len(data)
