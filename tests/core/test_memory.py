"""One heap for all threads, and free pages that go back to the system."""

import mmap
import os
from pathlib import Path
import subprocess
import sys

import pytest

from distil_whisper_ros.core import memory

GLIBC = 'CS_GNU_LIBC_VERSION' in getattr(os, 'confstr_names', {})
PROGRAM = """
import ctypes, sys, threading
from pathlib import Path
from distil_whisper_ros.core.memory import return_free_memory, share_one_heap

def resident():
    line = next(x for x in Path('/proc/self/status').read_text().splitlines() if 'VmRSS' in x)
    return int(line.split()[1]) / 1024  # MB

if sys.argv[1] == 'shared':
    assert share_one_heap()
before, libc = resident(), ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
turns = threading.Barrier(6)

def work(number):
    for turn in range(6):
        turns.wait()
        if turn == number:  # each thread needs the same 60 MB, one after another
            blocks = [libc.malloc(60_000) for _ in range(1000)]
            for block in blocks:
                ctypes.memset(block, 1, 60_000)
            libc.malloc(16)  # stays, above them: the heap does not shrink by itself
            for block in blocks:
                libc.free(block)

threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
kept = resident() - before
return_free_memory()
print(kept, resident() - before)
"""


def kept(mode: str) -> tuple[float, float]:
    """Return the MB that six threads leave behind, before and after the return of pages."""
    command = [sys.executable, '-c', PROGRAM, mode]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    return before, after


@pytest.mark.skipif(not GLIBC, reason='another C library has other heaps')
def test_threads_use_the_free_memory_of_each_other():
    shared, returned = kept('shared')
    assert shared < 100, 'more than the 60 MB of one thread'
    assert returned < 20
    default, _ = kept('default')
    assert shared < default + 5, 'a C library that gives all back at once leaves both small'


HEAPS = """
import ctypes, sys
import distil_whisper_ros.ros.process, distil_whisper_ros.whisper.transcriber
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b'w'))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(not GLIBC, reason='another C library has other heaps')
def test_the_node_has_one_heap_before_any_library_starts_a_thread(tmp_path):
    """Later threads would share all heaps that exist by then, and fill each."""
    written = tmp_path / 'heaps.xml'
    environment = {**os.environ, 'OPENBLAS_NUM_THREADS': '4'}
    subprocess.run([sys.executable, '-c', HEAPS, str(written)], env=environment, check=True)
    assert written.read_text().count('<heap nr=') == 1


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.ctypes, 'CDLL', lambda name: object())
    assert not memory.share_one_heap()
    assert not memory.return_free_memory()
    assert not memory.drop_file_pages(Path())


@pytest.mark.skipif(not Path('/proc/self/smaps').exists(), reason='not Linux')
def test_pages_of_mapped_files_are_dropped_unless_they_were_written_to(tmp_path):
    for name in ('read', 'written'):
        (tmp_path / name).write_bytes(bytes(range(256)) * 40_000)
    maps = []
    for name in ('read', 'written'):
        with open(tmp_path / name, 'rb') as file:
            maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    read, written = maps
    assert sum(read[::4096]) == sum(written[::4096]) == 0
    written[5000] = 7
    dropped = memory.drop_file_pages(tmp_path)
    assert 8_000_000 < dropped < 12_000_000
    assert (read[255], written[5000], written[5001]) == (255, 7, 5001 % 256)
    assert memory.drop_file_pages(tmp_path / 'none') == 0
