"""Keep the process's memory flat, which glibc's allocator by itself does not.

glibc gives the threads up to 8 heaps for each core, and no heap uses the free pages of another.
A model is loaded, warmed up and used in whichever thread is free, so in time each heap keeps most
of a model's pages: the node grew from 584 MB after the first load of tiny.en to 1,078 MB after the
24th, without a leak. One heap for all threads ends that, and at the end of a model its free pages
go back to the system.

Both functions do nothing where the C library is not glibc, as on macOS or with musl.
"""

import ctypes

M_ARENA_MAX = -8  # of glibc's malloc.h


def share_one_heap() -> bool:
    """Let all threads that start from now on share one heap; return whether that worked."""
    try:
        return bool(ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1))
    except (AttributeError, OSError):
        return False


def return_free_memory() -> bool:
    """Give free pages back to the system; return whether there were any.

    It takes about 10 ms, in which no thread can allocate: call it while nobody waits for a text.
    """
    try:
        return bool(ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0)))
    except (AttributeError, OSError):
        return False
