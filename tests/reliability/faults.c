/* Faults from inside a process, for LD_PRELOAD: a clock that is set, and a pipe that closes.

   CLOCK_SHIFT names a file of 8 bytes: seconds that this process's wall clock is ahead. Waits for
   a moment of the wall clock end as on a real machine: later, if the clock was set back.

   SIGUSR1 closes the pipes that a capture process writes to. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t none, *shift = &none;
static const int64_t SLICE = 100000000;  /* ns: a wait looks at the clock this often */
static int (*real_clock)(clockid_t, struct timespec *);
static int (*real_cond)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
static int (*real_sem)(sem_t *, const struct timespec *);

static void resolve(void)
{
  if (real_sem) return;
  real_clock = dlsym(RTLD_NEXT, "clock_gettime");
  /* Without its version, x86-64 gives one for the conditions of another age. */
  real_cond = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
  if (!real_cond) real_cond = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
  real_sem = dlsym(RTLD_NEXT, "sem_timedwait");
}

static void close_pipes(int number)
{
  (void)number;
  for (int file = 1; file < 64; file++) {
    struct stat facts;
    int flags = fcntl(file, F_GETFL);
    if (flags >= 0 && (flags & O_ACCMODE) == O_WRONLY && !fstat(file, &facts)
        && S_ISFIFO(facts.st_mode))
      close(file);
  }
}

__attribute__((constructor)) static void begin(void)
{
  resolve();
  const char *path = getenv("CLOCK_SHIFT");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file >= 0) {
    void *page = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) shift = page;
    close(file);
  }
  char line[1024] = "";
  file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  ssize_t length = file >= 0 ? read(file, line, sizeof line) : 0;
  if (file >= 0) close(file);
  if (length > 0 && memmem(line, length, "capture_process", 15)) signal(SIGUSR1, close_pipes);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
  resolve();
  int result = real_clock(clock, now);
  if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *shift;
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
  struct timespec exact;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *result)
{
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  if (result) *result = exact.tv_sec;
  return exact.tv_sec;
}

/* Returns in `slice` when to look at the clock again, and whether that is before `until`. */
static int cut(const struct timespec *until, struct timespec *slice)
{
  resolve();
  real_clock(CLOCK_REALTIME, slice);
  int64_t left = ((int64_t)until->tv_sec - *shift - slice->tv_sec) * 1000000000
                 + until->tv_nsec - slice->tv_nsec;
  int early = left > SLICE;
  int64_t end = slice->tv_nsec + (early ? SLICE : left > 0 ? left : 0);
  slice->tv_sec += end / 1000000000;
  slice->tv_nsec = end % 1000000000;
  return early;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
  /* A condition may count in monotonic time: then its moment is far before the wall clock's. */
  struct timespec now, slice;
  resolve();
  real_clock(CLOCK_MONOTONIC, &now);
  if (until->tv_sec < now.tv_sec + 100000000 && until->tv_sec < 1000000000)
    return real_cond(condition, mutex, until);
  int early = cut(until, &slice);
  int result = real_cond(condition, mutex, &slice);
  return early && result == ETIMEDOUT ? 0 : result;  /* wakes without a reason, as it may */
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until)
{
  for (;;) {
    struct timespec slice;
    int early = cut(until, &slice);
    int result = real_sem(semaphore, &slice);
    if (!result || errno != ETIMEDOUT || !early) return result;
  }
}
