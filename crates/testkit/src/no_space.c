// A disk that is full at a chosen call, for one kind of process and not for the machine. Loaded by LD_PRELOAD (see
// no_space.rs) it stands before the calls of libc that Linux can answer with ENOSPC, counts those beneath one folder,
// writes each down, and lets some fail. It is active in processes of one role, known by their arguments, and hands
// itself on by posix_spawn to those that have a role and to no others: what a job runs never has it. Raw system calls
// (rustix's, with which an archive is unpacked) do not come by here, nor does what libc's stdio writes.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

// Shared by all processes of a test, which reads and writes it too; no_space.rs knows the layout.
static struct state {
    _Atomic uint64_t seen, from, window, left, failed, brief;
    char role[16], dir[PATH_MAX], what[512];
} *state;
static char preload[PATH_MAX + 16], variable[PATH_MAX + 16], trace[PATH_MAX + 16];
static int active, notes = -1;

static const char *role(char *const *argv) {
    const char *name = argv[0] ? strrchr(argv[0], '/') : 0;
    if (argv[0] && !strncmp(name ? name + 1 : argv[0], "git", 3)) return "git";
    if (!argv[0] || !argv[1]) return "";
    if (!strcmp(argv[1], "up")) return "server";
    // The agent, and the helper that it has plant files; never the helper that becomes a job.
    for (int n = 2; !strcmp(argv[1], "buildlet") && argv[n] && strcmp(argv[n], "--"); n++)
        if (!strcmp(argv[n], "--listen") || !strcmp(argv[n], "--plant")) return "worker";
    return "";
}

__attribute__((constructor)) static void begin(int argc, char **argv) {
    const char *file = getenv("NO_SPACE"), *library = getenv("LD_PRELOAD");
    if (!argc || !file || !library) return;
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
    snprintf(variable, sizeof variable, "NO_SPACE=%s", file);
    snprintf(trace, sizeof trace, "%s.trace", file);
    int fd = syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC, 0);
    void *map = fd < 0 ? MAP_FAILED : mmap(0, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) syscall(SYS_close, fd);
    if (map == MAP_FAILED) return;
    state = map;
    active = !strcmp(role(argv), state->role);
    // Git's own children are git's. Nobody else's inherit anything.
    if (strcmp(role(argv), "git")) unsetenv("LD_PRELOAD"), unsetenv("NO_SPACE");
}

// Says whether this call is to fail, which has set errno.
static int full(const char *call, const char *path) {
    size_t dir = strlen(state->dir);
    if (strncmp(path, state->dir, dir) || path[dir] != '/') return 0;
    char line[PATH_MAX + 32];
    int length = snprintf(line, sizeof line, "%s %s", call, path + dir + 1);
    int fits = !state->what[0] || !fnmatch(state->what, line, FNM_PATHNAME);
    if (fits && atomic_fetch_add(&state->seen, 1) + 1 == state->from) state->left = state->window;
    uint64_t left = state->left;
    while (left && !atomic_compare_exchange_weak(&state->left, &left, left - 1)) {}
    if (notes < 0) notes = syscall(SYS_openat, AT_FDCWD, trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    length += snprintf(line + length, sizeof line - length, left ? " FULL\n" : "\n");
    syscall(SYS_write, notes, line, length);
    if (!left) return 0;
    state->failed++;
    errno = ENOSPC;
    return 1;
}

static int full_at(const char *call, int dirfd, const char *path) {
    if (!active) return 0;
    char whole[2 * PATH_MAX] = "", link[64];
    if (path[0] != '/') {
        snprintf(link, sizeof link, dirfd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dirfd);
        ssize_t length = readlink(link, whole, PATH_MAX);
        if (length < 0) return 0;
        strcpy(whole + length, "/");
    }
    strncat(whole, path, PATH_MAX - 1);
    return full(call, whole);
}

static int full_fd(const char *call, int fd) {
    struct stat stat;
    char link[64], path[PATH_MAX];
    if (!active || fstat(fd, &stat) || !(S_ISREG(stat.st_mode) || S_ISDIR(stat.st_mode))) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    return full(call, path);
}

// How much of a write the disk takes: all, or half where the last block was found first, or nothing.
static size_t taken(int fd, size_t length) {
    if (!full_fd("write", fd)) return length;
    return length > 1 && atomic_exchange(&state->brief, 0) ? length / 2 : 0;
}

#define NEXT(name) static __typeof__(name) *next; if (!next) next = dlsym(RTLD_NEXT, #name)
#define WRITE(name, ...) { NEXT(name); return n && !(n = taken(fd, n)) ? -1 : next(fd, data, n, ##__VA_ARGS__); }
ssize_t write(int fd, const void *data, size_t n) WRITE(write)
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) WRITE(pwrite, at)
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) WRITE(pwrite64, at)
#define WHOLE(name, test, ...) { NEXT(name); return test ? -1 : next(__VA_ARGS__); }
ssize_t writev(int fd, const struct iovec *v, int n) WHOLE(writev, full_fd("write", fd), fd, v, n)
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t n, unsigned flags)
    WHOLE(copy_file_range, full_fd("copy", out), in, from, out, to, n, flags)
ssize_t sendfile64(int out, int in, off64_t *at, size_t n) WHOLE(sendfile64, full_fd("copy", out), out, in, at, n)
int fsync(int fd) WHOLE(fsync, full_fd("sync", fd), fd)
int fdatasync(int fd) WHOLE(fdatasync, full_fd("sync", fd), fd)
// Only what is not there yet takes room.
#define MAKES(call, d, p) active && faccessat(d, p, F_OK, AT_SYMLINK_NOFOLLOW) && full_at(call, d, p)
int mkdir(const char *p, mode_t m) WHOLE(mkdir, MAKES("mkdir", AT_FDCWD, p), p, m)
int link(const char *o, const char *p) WHOLE(link, MAKES("link", AT_FDCWD, p), o, p)
int linkat(int e, const char *o, int d, const char *p, int f) WHOLE(linkat, MAKES("link", d, p), e, o, d, p, f)
int symlink(const char *o, const char *p) WHOLE(symlink, MAKES("link", AT_FDCWD, p), o, p)
int rename(const char *o, const char *p) WHOLE(rename, full_at("rename", AT_FDCWD, p), o, p)
#define UNIX_PATH(a) ((const struct sockaddr_un *)a)->sun_path
int bind(int fd, const struct sockaddr *a, socklen_t n)
    WHOLE(bind, a->sa_family == AF_UNIX && MAKES("bind", AT_FDCWD, UNIX_PATH(a)), fd, a, n)
#define OPEN(name, dirfd, ...) { NEXT(name); va_list list; va_start(list, flags); \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; va_end(list); \
    return flags & O_CREAT && MAKES("create", dirfd, path) ? -1 : next(__VA_ARGS__, mode); }
int open(const char *path, int flags, ...) OPEN(open, AT_FDCWD, path, flags)
int open64(const char *path, int flags, ...) OPEN(open64, AT_FDCWD, path, flags)
int openat(int dirfd, const char *path, int flags, ...) OPEN(openat, dirfd, dirfd, path, flags)
int openat64(int dirfd, const char *path, int flags, ...) OPEN(openat64, dirfd, dirfd, path, flags)

int posix_spawnp(pid_t *pid, const char *path, const posix_spawn_file_actions_t *acts, const posix_spawnattr_t *attr,
                 char *const argv[], char *const envp[]) {
    NEXT(posix_spawnp);
    int n = 0;
    while (envp[n]) n++;
    char *more[n + 3];
    memcpy(more, envp, n * sizeof *more);
    more[n] = preload, more[n + 1] = variable, more[n + 2] = 0;
    return next(pid, path, acts, attr, argv, state && *role(argv) ? more : envp);
}
