/* Preload shim: remembers what a process changed in a directory and has not made durable yet.
 *
 * kill -9 leaves the page cache alone, so a killed program finds everything it ever wrote, synced or
 * not. This shim writes an undo journal beside the program: before a change of a file under
 * $SHIM_DATA what was there before, after an fsync or fdatasync which changes are durable. After the
 * kill `chaos` undoes, newest first, all changes that no sync covers: what a machine without power
 * would be allowed to have lost.
 *
 * Covered: write, writev, pwrite, ftruncate, fallocate, O_TRUNC; creating, renaming, linking and
 * unlinking names and making directories, which are durable once their directory is synced (of a
 * rename only the new name's). Not covered: stdio, mmap, duplicated descriptors, copy_file_range; the
 * server uses none of them for its data. sync_file_range promises nothing and so counts for nothing.
 *
 * A record: seven little-endian u64 (magic << 32 | kind, number, inode, a, b, c, length), then bytes.
 * The numbers rise with time; a sync names the last change that it covers. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC, TRUNCATE, CREATE, RENAME, UNLINK, MKDIR };
#define MAGIC 0x53464a4cull
#define FDS 65536

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char data[PATH_MAX], kept[PATH_MAX];
static size_t data_len;
static int journal = -1;
static unsigned char tracked[FDS];

#define REAL(ret, name, ...) \
    static ret (*real_##name)(__VA_ARGS__); \
    if (!real_##name) real_##name = dlsym(RTLD_NEXT, #name)

static void die(const char *what) {
    dprintf(2, "shim: %s: %s\n", what, strerror(errno));
    abort();
}

__attribute__((constructor)) static void begin(void) {
    const char *d = getenv("SHIM_DATA"), *j = getenv("SHIM_JOURNAL");
    char path[PATH_MAX];
    if (!d || !j) return;
    snprintf(data, sizeof data, "%s", d);
    data_len = strlen(data);
    snprintf(kept, sizeof kept, "%s/kept", j);
    snprintf(path, sizeof path, "%s/journal", j);
    journal = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0) die(path);
}

/* Numbers are places in the journal, so that processes one after the other may share it. */
static uint64_t next_number(void) { return lseek(journal, 0, SEEK_END) + 1; }

static int ours(const char *path) {
    return 0 <= journal && !strncmp(path, data, data_len) &&
           (path[data_len] == '/' || !path[data_len]);
}

static int is_tracked(int fd) { return 0 <= fd && fd < FDS && tracked[fd]; }

static uint64_t record(uint64_t kind, uint64_t inode, uint64_t a, uint64_t b, uint64_t c,
                       const void *bytes, size_t len) {
    uint64_t number = next_number();
    uint64_t head[7] = {MAGIC << 32 | kind, number, inode, a, b, c, len};
    struct iovec parts[2] = {{head, sizeof head}, {(void *)bytes, len}};
    if (syscall(SYS_writev, journal, parts, 2) != (long)(sizeof head + len)) die("journal");
    return number;
}

static uint64_t inode_of(const char *path) {
    struct stat s;
    return lstat(path, &s) ? 0 : s.st_ino;
}

static uint64_t directory_of(const char *path) {
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    return inode_of(dirname(copy));
}

/* Another name for what is about to lose its own. */
static uint64_t keep(const char *path) {
    char to[PATH_MAX + 32];
    uint64_t number = next_number();
    snprintf(to, sizeof to, "%s/%llu", kept, (unsigned long long)number);
    return syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, to, 0) ? 0 : number;
}

/* Remembers bytes [from, to) of a file, as far as it has them. */
static void remember(int kind, int fd, uint64_t from, uint64_t to, uint64_t size, uint64_t inode) {
    uint64_t end = to < size ? to : size;
    size_t len = from < end ? end - from : 0;
    char *old = malloc(len ? len : 1);
    ssize_t got = 0;
    if (!old) die("memory");
    if (len) {
        /* The descriptor may be write-only. */
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        int reader = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
        if (reader < 0) die("reading old bytes");
        while ((size_t)got < len) {
            ssize_t n = pread(reader, old + got, len - got, from + got);
            if (n <= 0) break;
            got += n;
        }
        syscall(SYS_close, reader);
    }
    record(kind, inode, from, size, 0, old, got);
    free(old);
}

static void before_write(int fd, off_t at, size_t len) {
    struct stat s;
    if (fstat(fd, &s)) die("fstat");
    if (at < 0) at = (fcntl(fd, F_GETFL) & O_APPEND) ? s.st_size : lseek(fd, 0, SEEK_CUR);
    remember(WRITE, fd, at, at + len, s.st_size, s.st_ino);
}

ssize_t write(int fd, const void *bytes, size_t len) {
    REAL(ssize_t, write, int, const void *, size_t);
    if (!is_tracked(fd)) return real_write(fd, bytes, len);
    pthread_mutex_lock(&lock);
    before_write(fd, -1, len);
    ssize_t done = real_write(fd, bytes, len);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    if (!is_tracked(fd)) return real_writev(fd, parts, count);
    size_t len = 0;
    for (int i = 0; i < count; i++) len += parts[i].iov_len;
    pthread_mutex_lock(&lock);
    before_write(fd, -1, len);
    ssize_t done = real_writev(fd, parts, count);
    pthread_mutex_unlock(&lock);
    return done;
}

static ssize_t do_pwrite(int fd, const void *bytes, size_t len, off_t at) {
    if (!is_tracked(fd)) return syscall(SYS_pwrite64, fd, bytes, len, at);
    pthread_mutex_lock(&lock);
    before_write(fd, at, len);
    ssize_t done = syscall(SYS_pwrite64, fd, bytes, len, at);
    pthread_mutex_unlock(&lock);
    return done;
}
ssize_t pwrite(int fd, const void *b, size_t len, off_t at) { return do_pwrite(fd, b, len, at); }
ssize_t pwrite64(int fd, const void *b, size_t len, off_t at) { return do_pwrite(fd, b, len, at); }

static int do_ftruncate(int fd, off_t to) {
    if (!is_tracked(fd)) return syscall(SYS_ftruncate, fd, to);
    struct stat s;
    pthread_mutex_lock(&lock);
    if (fstat(fd, &s)) die("fstat");
    remember(TRUNCATE, fd, to, s.st_size, s.st_size, s.st_ino);
    int done = syscall(SYS_ftruncate, fd, to);
    pthread_mutex_unlock(&lock);
    return done;
}
int ftruncate(int fd, off_t to) { return do_ftruncate(fd, to); }
int ftruncate64(int fd, off_t to) { return do_ftruncate(fd, to); }

static int do_fallocate(int fd, int mode, off_t at, off_t len) {
    if (!is_tracked(fd)) return syscall(SYS_fallocate, fd, mode, at, len);
    struct stat s;
    pthread_mutex_lock(&lock);
    if (fstat(fd, &s)) die("fstat");
    remember(TRUNCATE, fd, s.st_size, s.st_size, s.st_size, s.st_ino);
    int done = syscall(SYS_fallocate, fd, mode, at, len);
    pthread_mutex_unlock(&lock);
    return done;
}
int fallocate(int fd, int mode, off_t at, off_t len) { return do_fallocate(fd, mode, at, len); }
int fallocate64(int fd, int mode, off_t at, off_t len) { return do_fallocate(fd, mode, at, len); }
int posix_fallocate(int fd, off_t at, off_t len) {
    return do_fallocate(fd, 0, at, len) ? errno : 0;
}

static int synced(int fd, long call) {
    struct stat s;
    if (!is_tracked(fd)) return syscall(call, fd);
    if (fstat(fd, &s)) die("fstat");
    pthread_mutex_lock(&lock);
    uint64_t covered = next_number() - 1;
    pthread_mutex_unlock(&lock);
    int done = syscall(call, fd);
    if (!done) {
        pthread_mutex_lock(&lock);
        record(SYNC, s.st_ino, covered, 0, 0, "", 0);
        pthread_mutex_unlock(&lock);
    }
    return done;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static int opened(const char *path, int flags, mode_t mode) {
    if (!ours(path)) return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    pthread_mutex_lock(&lock);
    uint64_t before = inode_of(path);
    if (before && (flags & O_TRUNC)) {
        int old = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
        struct stat s;
        if (old < 0 || fstat(old, &s)) die(path);
        remember(TRUNCATE, old, 0, s.st_size, s.st_size, s.st_ino);
        syscall(SYS_close, old);
    }
    int fd = syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    int saved = errno;
    if (0 <= fd && fd < FDS) {
        tracked[fd] = 1;
        if (!before)
            record(CREATE, inode_of(path), directory_of(path), 0, 0, path, strlen(path));
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
    return fd;
}

#define MODE(last) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, last); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }
int open(const char *path, int flags, ...) { MODE(flags) return opened(path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(path, flags, mode); }
int openat(int at, const char *path, int flags, ...) {
    MODE(flags)
    if (at == AT_FDCWD || *path == '/') return opened(path, flags, mode);
    return syscall(SYS_openat, at, path, flags, mode);
}
int openat64(int at, const char *path, int flags, ...) {
    MODE(flags)
    if (at == AT_FDCWD || *path == '/') return opened(path, flags, mode);
    return syscall(SYS_openat, at, path, flags, mode);
}

int close(int fd) {
    if (0 <= fd && fd < FDS) tracked[fd] = 0;
    return syscall(SYS_close, fd);
}

int rename(const char *from, const char *to) {
    if (!ours(from) || !ours(to)) return syscall(SYS_rename, from, to);
    char both[2 * PATH_MAX];
    pthread_mutex_lock(&lock);
    uint64_t moved = inode_of(from), link = keep(to);
    int len = snprintf(both, sizeof both, "%s%c%s", from, 0, to);
    record(RENAME, moved, directory_of(to), link, 0, both, len);
    int done = syscall(SYS_rename, from, to);
    pthread_mutex_unlock(&lock);
    return done;
}

int link(const char *from, const char *to) {
    int done = syscall(SYS_link, from, to);
    if (!done && ours(to)) {
        pthread_mutex_lock(&lock);
        record(CREATE, inode_of(to), directory_of(to), 0, 0, to, strlen(to));
        pthread_mutex_unlock(&lock);
    }
    return done;
}

int unlink(const char *path) {
    if (!ours(path)) return syscall(SYS_unlink, path);
    pthread_mutex_lock(&lock);
    uint64_t gone = inode_of(path), link = keep(path);
    if (link) record(UNLINK, gone, directory_of(path), link, 0, path, strlen(path));
    int done = syscall(SYS_unlink, path);
    pthread_mutex_unlock(&lock);
    return done;
}

int mkdir(const char *path, mode_t mode) {
    int done = syscall(SYS_mkdir, path, mode);
    if (!done && ours(path) && path[data_len]) {
        pthread_mutex_lock(&lock);
        record(MKDIR, inode_of(path), directory_of(path), 0, 0, path, strlen(path));
        pthread_mutex_unlock(&lock);
    }
    return done;
}
