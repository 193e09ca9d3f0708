// Preloaded into a child process: makes the disk fail from the moment that a file appears.
//
//   MILLRACE_FAULT=fsync:PATH    once PATH exists, every sync fails with EIO, and what was written stays in the cache
//   MILLRACE_FAULT=space:PATH    once PATH exists, every write to a regular file fails with ENOSPC

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int failing(const char *kind) {
    const char *fault = getenv("MILLRACE_FAULT");
    size_t length = strlen(kind);
    return fault && strncmp(fault, kind, length) == 0 && access(fault + length, F_OK) == 0;
}

static int regular(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_IF(condition, error) \
    if (condition) {              \
        errno = error;            \
        return -1;                \
    }

int fsync(int fd) {
    FAIL_IF(failing("fsync:"), EIO);
    return REAL(fsync)(fd);
}

int fdatasync(int fd) {
    FAIL_IF(failing("fsync:"), EIO);
    return REAL(fdatasync)(fd);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    FAIL_IF(failing("space:") && regular(fd), ENOSPC);
    return REAL(write)(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    FAIL_IF(failing("space:") && regular(fd), ENOSPC);
    return REAL(pwrite)(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    FAIL_IF(failing("space:") && regular(fd), ENOSPC);
    return REAL(pwrite64)(fd, bytes, count, offset);
}
