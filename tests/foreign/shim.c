// SPDX-License-Identifier: Apache-2.0 OR MIT
// Lets objects that were compiled for QNX or Android run on Linux. Every function that they ask
// their own C library for is called foreign_NAME in the copy that is linked here, and does on Linux
// what that library's documentation says. What does not fit the other system's types stands in
// tables, and the other system's storage holds its number.
//
// -DFOREIGN_QNX or -DFOREIGN_ANDROID says which system it is.

#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

#define OBJECTS_MAX 64u
#define THREADS_MAX 32
#define TAG 0x51000000u

// Whose flags differ: theirs on the left, ours on the right.
typedef struct {
  int theirs;
  int ours;
} Flag;

#ifdef FOREIGN_QNX
typedef int Thread;
static const int their_monotonic = 2;
static const int their_page_size = 11;
static const Flag open_flags[] = {{1, O_WRONLY}, {2, O_RDWR}, {0400, O_CREAT}, {010, O_APPEND},
                                  {020000, O_CLOEXEC}, {0200, O_NONBLOCK}};
static const Flag access_flags[] = {{0x100, PROT_READ}, {0x200, PROT_WRITE}};
static const Flag map_flags[] = {{1, MAP_SHARED}, {2, MAP_PRIVATE}, {0x80000, MAP_ANONYMOUS}};
static const Flag signals[] = {{1, SIGHUP}, {2, SIGINT}, {4, SIGILL}, {5, SIGTRAP}, {6, SIGABRT},
                               {8, SIGFPE}, {10, SIGBUS}, {11, SIGSEGV}, {15, SIGTERM},
                               {16, SIGUSR1}, {17, SIGUSR2}};
#else
typedef long Thread;
static const int their_monotonic = CLOCK_MONOTONIC;
static const int their_page_size = 39;
// As on any Linux.
static const Flag open_flags[] = {{O_WRONLY, O_WRONLY}, {O_RDWR, O_RDWR},
                                  {O_CREAT, O_CREAT}, {O_APPEND, O_APPEND},
                                  {O_CLOEXEC, O_CLOEXEC}, {O_NONBLOCK, O_NONBLOCK}};
static const Flag access_flags[] = {{PROT_READ, PROT_READ}, {PROT_WRITE, PROT_WRITE}};
static const Flag map_flags[] = {{MAP_SHARED, MAP_SHARED}, {MAP_PRIVATE, MAP_PRIVATE},
                                 {MAP_ANONYMOUS, MAP_ANONYMOUS}, {MAP_NORESERVE, MAP_NORESERVE}};
static const Flag signals[] = {{SIGHUP, SIGHUP}, {SIGINT, SIGINT}, {SIGILL, SIGILL},
                               {SIGTRAP, SIGTRAP}, {SIGABRT, SIGABRT}, {SIGFPE, SIGFPE},
                               {SIGBUS, SIGBUS}, {SIGSEGV, SIGSEGV}, {SIGTERM, SIGTERM},
                               {SIGUSR1, SIGUSR1}, {SIGUSR2, SIGUSR2}};
#endif

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define OURS(flags, value) ours(flags, COUNT(flags), value)

// Ends the program at what the shim does not know, rather than guess.
static void know(int known) {
  if (!known) {
    static const char text[] = "the shim was asked for something it does not know\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    abort();
  }
}

static int ours(const Flag* flags, size_t count, int value) {
  int result = 0;
  size_t index;
  for (index = 0; index < count; ++index) {
    if ((value & flags[index].theirs) == flags[index].theirs) {
      result |= flags[index].ours;
      value &= ~flags[index].theirs;
    }
  }
  know(value == 0);
  return result;
}

int foreign_clock_gettime(int clock, struct timespec* time) {
  know(clock == their_monotonic);
  return clock_gettime(CLOCK_MONOTONIC, time);
}

long foreign_sysconf(int name) {
  know(name == their_page_size);
  return sysconf(_SC_PAGESIZE);
}

void foreign_abort(void) {
  abort();
}

// Memory and descriptors.

void* foreign_mmap(void* address, size_t bytes, int access, int flags, int fd, int64_t offset) {
  return mmap(address, bytes, OURS(access_flags, access), OURS(map_flags, flags), fd, offset);
}

int foreign_munmap(void* address, size_t bytes) {
  return munmap(address, bytes);
}

#ifdef FOREIGN_ANDROID
int foreign_munlock(const void* address, size_t bytes) {
  return munlock(address, bytes);
}

void* foreign_mremap(void* address, size_t bytes, size_t new_bytes, int flags, ...) {
  know(flags == MREMAP_MAYMOVE);
  return mremap(address, bytes, new_bytes, flags);
}

int foreign_mprotect(void* address, size_t bytes, int access) {
  return mprotect(address, bytes, OURS(access_flags, access));
}
#endif

ssize_t foreign_write(int fd, const void* bytes, size_t count) {
  return write(fd, bytes, count);
}

int foreign_close(int fd) {
  return close(fd);
}

int foreign_open(const char* path, int how, ...) {
  unsigned mode;
  va_list list;
  va_start(list, how);
  mode = va_arg(list, unsigned);
  va_end(list);
  return open(path, OURS(open_flags, how), mode);
}

int foreign_fcntl(int fd, int command, ...) {
  int flags;
  int result = 0;
  size_t index;
  know(command == 3);    // F_GETFL, on both
  flags = fcntl(fd, F_GETFL);
  if (flags == -1) {
    return -1;
  }
  for (index = 0; index < COUNT(open_flags); ++index) {
    result |= (flags & open_flags[index].ours) != 0 ? open_flags[index].theirs : 0;
  }
  return result;
}

#ifdef FOREIGN_QNX
typedef struct {
  uint64_t ino;
  int64_t size;
  uint32_t dev;
  uint32_t rest[27];
} Status;
_Static_assert(sizeof(Status) == 128, "struct stat of QNX");

int foreign_fstat(int fd, Status* status) {
  struct stat found;
  const int result = fstat(fd, &found);
  if (result == 0) {
    memset(status, 0, sizeof *status);
    status->ino = found.st_ino;
    status->size = found.st_size;
    status->dev = (uint32_t)found.st_dev;
  }
  return result;
}
#else
int foreign_fstat(int fd, struct stat* status) {
  return fstat(fd, status);
}
#endif

// Locks. The first word of the storage is a tag and a number once it was used; before, zeros, or
// whatever the other system's initialiser put there. What has either must not be initialised again.

static pthread_mutex_t tables = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t mutexes[OBJECTS_MAX];
static pthread_cond_t conditions[OBJECTS_MAX];
static unsigned mutex_count;
static unsigned condition_count;
static int inits_left = -1;

static int is_made(uint32_t word) {
  return (word & 0xFF000000u) == TAG;
}

// What the initialisers put there; on Android it is what storage of zeros has.
#ifdef FOREIGN_QNX
static int is_static_mutex(const uint32_t* words) {
  return (words[0] == 0x82000000u || words[0] == 0x80000000u) && words[1] == 0;    // 7.1 and 8.0
}

static int is_static_condition(const uint32_t* words) {
  return words[0] == 0 && words[1] == 0xFFFFFFFBu;
}
#else
static int is_static_mutex(const uint32_t* words) {
  return words[0] == 0;
}

static int is_static_condition(const uint32_t* words) {
  (void)words;
  return 0;
}
#endif

void foreign_refuse_init_after(int count) {
  (void)pthread_mutex_lock(&tables);
  inits_left = count;
  (void)pthread_mutex_unlock(&tables);
}

// Whether this initialisation is the one to refuse. Under the lock of the tables.
static int is_refused(void) {
  const int now = inits_left == 0;
  inits_left -= inits_left >= 0;
  return now;
}

static void make_mutex(uint32_t* storage, int protocol) {
  pthread_mutexattr_t attributes;
  know(mutex_count < OBJECTS_MAX);
  (void)pthread_mutexattr_init(&attributes);
  (void)pthread_mutexattr_setprotocol(&attributes, protocol);
  know(pthread_mutex_init(&mutexes[mutex_count], &attributes) == 0);
  (void)pthread_mutexattr_destroy(&attributes);
  __atomic_store_n(storage, TAG | mutex_count, __ATOMIC_RELEASE);
  ++mutex_count;
}

static pthread_mutex_t* mutex_of(uint32_t* storage) {
  uint32_t word = __atomic_load_n(storage, __ATOMIC_ACQUIRE);
  if (!is_made(word)) {
    (void)pthread_mutex_lock(&tables);
    if (!is_made(__atomic_load_n(storage, __ATOMIC_ACQUIRE))) {
      know(is_static_mutex(storage));
      make_mutex(storage, PTHREAD_PRIO_NONE);
    }
    (void)pthread_mutex_unlock(&tables);
    word = __atomic_load_n(storage, __ATOMIC_ACQUIRE);
  }
  return &mutexes[word & ~0xFF000000u];
}

// Attributes hold one number: the protocol, or the clock.
int foreign_pthread_mutexattr_init(int* attributes) {
#ifdef FOREIGN_QNX
  *attributes = PTHREAD_PRIO_INHERIT;    // its default
#else
  *attributes = PTHREAD_PRIO_NONE;
#endif
  return 0;
}

int foreign_pthread_mutexattr_setprotocol(int* attributes, int protocol) {
  know(protocol == PTHREAD_PRIO_INHERIT);
  *attributes = protocol;
  return 0;
}

int foreign_pthread_mutexattr_destroy(int* attributes) {
  (void)attributes;
  return 0;
}

int foreign_pthread_mutex_init(uint32_t* mutex, const int* attributes) {
  int refused;
  know(*attributes == PTHREAD_PRIO_INHERIT);
  (void)pthread_mutex_lock(&tables);
  know(!is_made(mutex[0]));
#ifdef FOREIGN_QNX
  know(!is_static_mutex(mutex));
#endif
  refused = is_refused();
  if (!refused) {
    make_mutex(mutex, *attributes);
  }
  (void)pthread_mutex_unlock(&tables);
  return refused ? EAGAIN : 0;
}

int foreign_pthread_mutex_lock(uint32_t* mutex) {
  return pthread_mutex_lock(mutex_of(mutex));
}

int foreign_pthread_mutex_trylock(uint32_t* mutex) {
  return pthread_mutex_trylock(mutex_of(mutex));
}

int foreign_pthread_mutex_unlock(uint32_t* mutex) {
  return pthread_mutex_unlock(mutex_of(mutex));
}

int foreign_pthread_condattr_init(int* attributes) {
  *attributes = -1;
  return 0;
}

int foreign_pthread_condattr_setclock(int* attributes, int clock) {
  *attributes = clock;
  return 0;
}

int foreign_pthread_condattr_destroy(int* attributes) {
  (void)attributes;
  return 0;
}

int foreign_pthread_cond_init(uint32_t* condition, const int* attributes) {
  pthread_condattr_t made;
  know(*attributes == their_monotonic);
  (void)pthread_mutex_lock(&tables);
  know(!is_made(condition[0]) && !is_static_condition(condition));
  if (is_refused()) {
    (void)pthread_mutex_unlock(&tables);
    return EAGAIN;
  }
  know(condition_count < OBJECTS_MAX);
  (void)pthread_condattr_init(&made);
  (void)pthread_condattr_setclock(&made, CLOCK_MONOTONIC);
  know(pthread_cond_init(&conditions[condition_count], &made) == 0);
  (void)pthread_condattr_destroy(&made);
  *condition = TAG | condition_count;
  ++condition_count;
  (void)pthread_mutex_unlock(&tables);
  return 0;
}

static pthread_cond_t* condition_of(const uint32_t* storage) {
  know(is_made(*storage));
  return &conditions[*storage & ~0xFF000000u];
}

int foreign_pthread_cond_signal(uint32_t* condition) {
  return pthread_cond_signal(condition_of(condition));
}

int foreign_pthread_cond_broadcast(uint32_t* condition) {
  return pthread_cond_broadcast(condition_of(condition));
}

int foreign_pthread_cond_timedwait(uint32_t* condition, uint32_t* mutex,
                                   const struct timespec* deadline) {
  return pthread_cond_timedwait(condition_of(condition), mutex_of(mutex), deadline);
}

// Threads. Their ids are numbers from 1.

static pthread_t threads[THREADS_MAX];
static int thread_count;

typedef struct {
  size_t stack_bytes;
  int detached;
} Attributes;

int foreign_pthread_attr_init(Attributes* attributes) {
  attributes->stack_bytes = 0;
  attributes->detached = 0;
  return 0;
}

int foreign_pthread_attr_destroy(Attributes* attributes) {
  (void)attributes;
  return 0;
}

int foreign_pthread_attr_setstacksize(Attributes* attributes, size_t bytes) {
  attributes->stack_bytes = bytes;
  return 0;
}

int foreign_pthread_attr_setdetachstate(Attributes* attributes, int state) {
  know(state == 1);    // detached, on both
  attributes->detached = 1;
  return 0;
}

int foreign_pthread_create(Thread* thread, const Attributes* attributes, void* (*run)(void*),
                           void* argument) {
  pthread_attr_t made;
  int result;
  know(attributes->detached);
  (void)pthread_attr_init(&made);
  if (attributes->stack_bytes > 0) {
    (void)pthread_attr_setstacksize(&made, attributes->stack_bytes);
  }
  (void)pthread_attr_setdetachstate(&made, PTHREAD_CREATE_DETACHED);
  // Under the lock, so that the thread finds itself.
  (void)pthread_mutex_lock(&tables);
  know(thread_count < THREADS_MAX);
  result = pthread_create(&threads[thread_count], &made, run, argument);
  if (result == 0) {
    *thread = ++thread_count;
  }
  (void)pthread_mutex_unlock(&tables);
  (void)pthread_attr_destroy(&made);
  return result;
}

Thread foreign_pthread_self(void) {
  const pthread_t self = pthread_self();
  int index = 0;
  (void)pthread_mutex_lock(&tables);
  while (index < thread_count && !pthread_equal(threads[index], self)) {
    ++index;
  }
  if (index == thread_count) {
    know(thread_count < THREADS_MAX);
    threads[thread_count++] = self;
  }
  (void)pthread_mutex_unlock(&tables);
  return index + 1;
}

int foreign_pthread_equal(Thread one, Thread other) {
  return one == other;
}

int foreign_pthread_setname_np(Thread thread, const char* name) {
  return pthread_setname_np(threads[thread - 1], name);
}

int foreign_pthread_atfork(void (*before)(void), void (*parent)(void), void (*child)(void)) {
  return pthread_atfork(before, parent, child);
}

// Signals: 64 of them, bit 0 is the first.

int foreign_sigfillset(uint64_t* set) {
  *set = UINT64_MAX;
  return 0;
}

int foreign_sigdelset(uint64_t* set, int signal) {
  *set &= ~(UINT64_C(1) << (signal - 1));
  return 0;
}

int foreign_pthread_sigmask(int how, const uint64_t* set, uint64_t* former) {
  sigset_t made;
  sigset_t before;
  size_t index;
  int result;
  know(how == 0 || how == 2);    // block and set, on both
  (void)sigemptyset(&made);
  for (index = 0; index < COUNT(signals); ++index) {
    if ((*set >> (signals[index].theirs - 1) & 1) != 0) {
      (void)sigaddset(&made, signals[index].ours);
    }
  }
  result = pthread_sigmask(how == 0 ? SIG_BLOCK : SIG_SETMASK, &made, &before);
  if (result == 0 && former != NULL) {
    *former = 0;
    for (index = 0; index < COUNT(signals); ++index) {
      if (sigismember(&before, signals[index].ours)) {
        *former |= UINT64_C(1) << (signals[index].theirs - 1);
      }
    }
  }
  return result;
}

#ifdef FOREIGN_QNX

// The kernel calls. A connection is the writing end of a pipe that never blocks; a pulse lies in it
// as the channel's owner would read it.

int foreign_MsgSendPulse_r(int connection, int priority, int code, int value) {
  const ForeignPulse pulse = {priority, code, value};
  return write(connection, &pulse, sizeof pulse) == (ssize_t)sizeof pulse ? 0 : errno;
}

int foreign_MsgDeliverEvent_r(int receive_id, const ForeignEvent* event) {
  size_t index;
  know(receive_id == 0);
  switch (event->notify & FOREIGN_EVENT_KIND) {
    case FOREIGN_EVENT_PULSE:
      return foreign_MsgSendPulse_r(event->connection, event->priority, event->code,
                                    (int)event->value);
    case FOREIGN_EVENT_SIGNAL:
    case FOREIGN_EVENT_SIGNAL_CODE:
      for (index = 0; index < COUNT(signals); ++index) {
        if (signals[index].theirs == event->connection) {
          return kill(getpid(), signals[index].ours) == 0 ? 0 : errno;
        }
      }
      return EINVAL;
    default:
      know(0);    // it would be for the calling thread, or for nobody
      return EINVAL;
  }
}

#endif
