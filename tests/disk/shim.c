/*
 * A disk that fails on command, for tests: loaded with LD_PRELOAD it stands between one
 * process and libc, sees each call that changes a file below one directory, and
 *   - numbers it, and lets those of a range fail with an errno, or write short,
 *   - delays syncs, as on a slow card,
 *   - notes it in a journal, from which a test rebuilds what a power cut may have left.
 *
 * DISK_SHIM_DIR      the directory, absolute and without links
 * DISK_SHIM_CONTROL  a file that holds `struct control`; the test changes it while we run
 * DISK_SHIM_JOURNAL  where entries are appended; none when unset
 *
 * One lock is held over each call and its entry: the journal's order is the disk's. Calls made
 * past libc (io_uring, raw system calls, shared mappings) are not seen; SQLite's mapped index
 * of its log is the one such file here, and it is made anew at each start.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* tests/support/disk.rs knows this layout, and that of the journal. */
struct control {
    uint64_t calls;        /* calls that change something, so far */
    uint64_t fail_from;    /* number of the first that fails; 0: none */
    uint64_t fail_until;   /* number of the last that fails */
    uint64_t error;        /* errno; 0: writes are cut short instead */
    uint64_t sync_ms;      /* how long a sync takes */
    uint64_t skip_sync;    /* 1: a sync only says that it was one, to save the test's time */
    uint64_t failed;       /* calls that were made to fail */
};

enum kind { CREATE = 1, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, MKDIR, SYNC_DIR };

/* Followed by the path, the second path of a rename, and the data of a write. */
struct entry {
    uint32_t kind;
    uint32_t path_len;
    uint32_t other_len;
    uint32_t data_len;
    uint64_t offset;       /* of a write; the new length of a truncate */
    uint64_t begin_ns;     /* CLOCK_MONOTONIC, before the call; of a sync, after it */
    uint64_t end_ns;
};

#define MOST_FILES 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct control *control;
static char *paths[MOST_FILES];
static char dir[PATH_MAX];
static size_t dir_len;
static int journal = -1;

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name)

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

__attribute__((constructor)) static void begin(void) {
    const char *watched = getenv("DISK_SHIM_DIR");
    const char *shared = getenv("DISK_SHIM_CONTROL");
    const char *log = getenv("DISK_SHIM_JOURNAL");
    /* Workers are no part of the test. */
    unsetenv("LD_PRELOAD");
    if (!watched || !shared) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, shared, O_RDWR | O_CLOEXEC);
    void *map = fd < 0 ? MAP_FAILED
        : mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        static const char why[] = "disk shim: the control file can't be mapped\n";
        syscall(SYS_write, 2, why, sizeof why - 1);
        _exit(111);
    }
    syscall(SYS_close, fd);
    if (log)
        journal = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    dir_len = (size_t)snprintf(dir, sizeof dir, "%s/", watched);
    control = map;
}

/* The path below the directory, or NULL for all other files. */
static const char *below(const char *path) {
    if (!control || !path || strncmp(path, dir, dir_len - 1) != 0) return NULL;
    /* The directory itself is "". */
    if (!path[dir_len - 1]) return "";
    return path[dir_len - 1] == '/' ? path + dir_len : NULL;
}

static const char *watched(int fd) {
    return control && fd >= 0 && fd < MOST_FILES ? paths[fd] : NULL;
}

/* What becomes of the next call: 0, or the errno that it fails with, or -1 for a short write. */
static int fate(enum kind kind) {
    uint64_t number = __atomic_add_fetch(&control->calls, 1, __ATOMIC_SEQ_CST);
    uint64_t from = __atomic_load_n(&control->fail_from, __ATOMIC_SEQ_CST);
    if (!from || number < from || number > control->fail_until) return 0;
    int error = (int)control->error;
    /* A full disk still lets go of files and directories' entries. */
    if (kind == UNLINK && error == ENOSPC) return 0;
    if (!error && kind != WRITE) return 0;
    __atomic_add_fetch(&control->failed, 1, __ATOMIC_SEQ_CST);
    return error ? error : -1;
}

static void put(const void *data, size_t length) {
    const char *at = data;
    while (length) {
        long n = syscall(SYS_write, journal, at, length);
        if (n <= 0) _exit(112);
        at += n;
        length -= (size_t)n;
    }
}

static void note(enum kind kind, const char *path, const char *other, uint64_t offset,
                 const void *data, size_t length, uint64_t begin_ns) {
    if (journal < 0) return;
    struct entry entry = {
        kind, (uint32_t)strlen(path), other ? (uint32_t)strlen(other) : 0, (uint32_t)length,
        offset, begin_ns, now_ns(),
    };
    put(&entry, sizeof entry);
    put(path, entry.path_len);
    if (other) put(other, entry.other_len);
    if (length) put(data, length);
}

/* Files ------------------------------------------------------------------------------- */

static int opened(int fd, const char *path) {
    if (fd >= 0 && fd < MOST_FILES) {
        free(paths[fd]);
        paths[fd] = strdup(path);
    }
    return fd;
}

static int open_watched(int at, const char *path, int flags, mode_t mode) {
    REAL(openat);
    const char *name = below(path);
    if (!name || (flags & O_ACCMODE) == O_RDONLY)  {
        int fd = real(at, path, flags, mode);
        if (name && fd >= 0) {
            pthread_mutex_lock(&lock);
            opened(fd, name);
            pthread_mutex_unlock(&lock);
        }
        return fd;
    }
    pthread_mutex_lock(&lock);
    struct stat about;
    int is_new = (flags & O_CREAT) && lstat(path, &about) != 0;
    int cut = !is_new && (flags & O_TRUNC);
    int error = is_new ? fate(CREATE) : cut ? fate(TRUNCATE) : 0;
    uint64_t began = now_ns();
    int fd = -1;
    if (error > 0) errno = error;
    else fd = opened(real(at, path, flags, mode), name);
    int saved = errno;
    if (fd >= 0 && is_new) note(CREATE, name, NULL, 0, NULL, 0, began);
    if (fd >= 0 && cut) note(TRUNCATE, name, NULL, 0, NULL, 0, began);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return fd;
}

#define MODE \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list arguments; \
        va_start(arguments, flags); \
        mode = va_arg(arguments, mode_t); \
        va_end(arguments); \
    }

int open(const char *path, int flags, ...) { MODE return open_watched(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return open_watched(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int at, const char *path, int flags, ...) { MODE return open_watched(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE return open_watched(at, path, flags | O_LARGEFILE, mode); }

int close(int fd) {
    REAL(close);
    if (!watched(fd)) return real(fd);
    pthread_mutex_lock(&lock);
    free(paths[fd]);
    paths[fd] = NULL;
    int result = real(fd);
    pthread_mutex_unlock(&lock);
    return result;
}

/* Writes `length` bytes at `offset`, or at the file's own position when that is negative. */
static ssize_t write_watched(int fd, const void *data, size_t length, off_t offset) {
    pthread_mutex_lock(&lock);
    const char *name = paths[fd];
    int error = fate(WRITE);
    uint64_t began = now_ns();
    ssize_t n = -1;
    if (error > 0) {
        errno = error;
    } else {
        if (error < 0 && length > 1) length /= 2;
        off_t at = offset;
        if (at < 0) at = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
        n = offset < 0 ? syscall(SYS_write, fd, data, length)
                       : syscall(SYS_pwrite64, fd, data, length, offset);
        int saved = errno;
        if (n > 0) note(WRITE, name, NULL, (uint64_t)at, data, (size_t)n, began);
        errno = saved;
    }
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return n;
}

ssize_t write(int fd, const void *data, size_t length) {
    return watched(fd) ? write_watched(fd, data, length, -1) : syscall(SYS_write, fd, data, length);
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    return watched(fd) ? write_watched(fd, data, length, offset)
                       : syscall(SYS_pwrite64, fd, data, length, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    return pwrite(fd, data, length, offset);
}
/* As many writes as there are parts: a torn one is what a disk may do. */
ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!watched(fd)) return syscall(SYS_writev, fd, parts, count);
    ssize_t all = 0;
    for (int i = 0; i < count; i++) {
        if (!parts[i].iov_len) continue;
        ssize_t n = write_watched(fd, parts[i].iov_base, parts[i].iov_len, -1);
        if (n < 0) return all ? all : -1;
        all += n;
        if ((size_t)n < parts[i].iov_len) break;
    }
    return all;
}

static int sync_watched(int fd, long call) {
    const char *name = watched(fd);
    if (!name) return (int)syscall(call, fd);
    uint64_t delay = __atomic_load_n(&control->sync_ms, __ATOMIC_SEQ_CST);
    if (delay) {
        struct timespec wait = { (time_t)(delay / 1000), (long)(delay % 1000) * 1000000 };
        nanosleep(&wait, NULL);
    }
    pthread_mutex_lock(&lock);
    struct stat about;
    int is_dir = fstat(fd, &about) == 0 && S_ISDIR(about.st_mode);
    int error = fate(is_dir ? SYNC_DIR : SYNC);
    int result = -1;
    if (error > 0) {
        errno = error;
    } else {
        result = control->skip_sync ? 0 : (int)syscall(call, fd);
        int saved = errno;
        /* Stamped at its end: until then nothing that relies on it can have been said. */
        if (result == 0) note(is_dir ? SYNC_DIR : SYNC, name, NULL, 0, NULL, 0, now_ns());
        errno = saved;
    }
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}

int fsync(int fd) { return sync_watched(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_watched(fd, SYS_fdatasync); }

int ftruncate(int fd, off_t length) {
    if (!watched(fd)) return (int)syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&lock);
    int error = fate(TRUNCATE);
    uint64_t began = now_ns();
    int result = -1;
    if (error > 0) errno = error;
    else result = (int)syscall(SYS_ftruncate, fd, length);
    int saved = errno;
    if (result == 0) note(TRUNCATE, paths[fd], NULL, (uint64_t)length, NULL, 0, began);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}
int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

/* Only what it reserves beyond the end shows in a file's content, and that is zeros. */
int posix_fallocate(int fd, off_t offset, off_t length) {
    if (!watched(fd)) return syscall(SYS_fallocate, fd, 0, offset, length) ? errno : 0;
    struct stat about;
    if (fstat(fd, &about)) return errno;
    if (about.st_size >= offset + length) return 0;
    return ftruncate(fd, offset + length) ? errno : 0;
}
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }

/* Names ------------------------------------------------------------------------------- */

static int change_name(enum kind kind, const char *path, const char *other, long result_of(const char *, const char *)) {
    pthread_mutex_lock(&lock);
    int error = fate(kind);
    uint64_t began = now_ns();
    int result = -1;
    if (error > 0) errno = error;
    else result = (int)result_of(path, other);
    int saved = errno;
    if (result == 0) note(kind, below(path), other ? below(other) : NULL, 0, NULL, 0, began);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}

static long do_rename(const char *from, const char *to) { return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0); }
static long do_unlink(const char *path, const char *none) { (void)none; return syscall(SYS_unlinkat, AT_FDCWD, path, 0); }

int rename(const char *from, const char *to) {
    return below(from) && below(to) ? change_name(RENAME, from, to, do_rename) : (int)do_rename(from, to);
}
int unlink(const char *path) {
    return below(path) ? change_name(UNLINK, path, NULL, do_unlink) : (int)do_unlink(path, NULL);
}
int mkdir(const char *path, mode_t mode) {
    const char *name = below(path);
    if (!name) return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    struct stat about;
    if (lstat(path, &about) == 0) { errno = EEXIST; return -1; }
    pthread_mutex_lock(&lock);
    int error = fate(MKDIR);
    uint64_t began = now_ns();
    int result = -1;
    if (error > 0) errno = error;
    else result = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    int saved = errno;
    if (result == 0) note(MKDIR, name, NULL, 0, NULL, 0, began);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}
