"""Keep the process's memory flat, which glibc's allocator by itself does not.

glibc gives the threads up to 8 heaps for each core, and no heap uses the free pages of another.
A model is loaded, warmed up and used in whichever thread is free, so in time each heap keeps most
of a model's pages: the node grew from 584 MB after the first load of tiny.en to 1,078 MB after the
24th, without a leak. One heap for all threads ends that, and at the end of a model its free pages
go back to the system.

The weights of a model are mapped from their file, and a page that was read stays in memory, also
where nothing needs it again.

All functions do nothing where the system has not what they need, as on macOS or with musl.
"""

import ctypes
import gc
import os
from pathlib import Path
import re

M_ARENA_MAX = -8  # of glibc's malloc.h
MADV_DONTNEED = 4  # of Linux's mman.h


def share_one_heap() -> bool:
    """Let all threads that start from now on share one heap; return whether that worked."""
    try:
        return bool(ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1))
    except (AttributeError, OSError):
        return False


def collect_garbage() -> None:
    """Free objects that hold each other, and look at those that are left never again.

    PyTorch and ROS have 400,000 objects that stay. Without this, Python looks at all of them in
    each full collection, in which nothing else runs; and since there are so many, it waits for
    1,000 utterances before it does so.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def return_free_memory() -> bool:
    """Give free pages back to the system; return whether there were any.

    It takes about 10 ms, in which no thread can allocate: call it while nobody waits for a text.
    """
    try:
        return bool(ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0)))
    except (AttributeError, OSError):
        return False


def drop_file_pages(folder: Path) -> int:
    """Drop the pages of the files in `folder` that are mapped; return how many bytes those were.

    Where a page is read again, the system brings it back from the file. A mapping that was written
    to is left alone.
    """
    try:
        smaps = Path('/proc/self/smaps').read_text(errors='surrogateescape')
        madvise = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return 0
    inside, dropped = os.path.realpath(folder) + os.sep, 0
    for entry in re.split(r'\n(?=[0-9a-f]+-[0-9a-f]+ )', smaps):
        head, _, rest = entry.partition('\n')
        fields = head.split(maxsplit=5)
        if len(fields) < 6 or not os.path.realpath(fields[5]).startswith(inside):
            continue
        sizes = dict(re.findall(r'(\w+): +(\d+) kB', rest))
        if int(sizes.get('Anonymous', 1)) or int(sizes.get('Swap', 0)):
            continue  # pages that differ from the file
        begin, end = (int(address, 16) for address in fields[0].split('-'))
        if not madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), MADV_DONTNEED):
            dropped += 1024 * int(sizes.get('Rss', 0))
    return dropped
