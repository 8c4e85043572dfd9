/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fail_nth - has the n-th call of a kind fail, in a program that knows of
 * nothing.  A library to preload, for tests.
 *
 *	LD_PRELOAD=fail_nth.so WEIR_FAIL_CONTROL=FILE weir-broker -c ...
 *
 * FILE is `struct control`, shared with the test, who sets which kind fails
 * from which count to which, and reads the counts, while the program runs.
 * Without FILE nothing fails.
 *
 * Memory: only calls from the program itself count, not those of libraries;
 * some of these end the program on purpose.
 */

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As in torture_faults.py. */
enum kind {
	KIND_MEMORY,
	KIND_WRITE,
	KIND_SYNC,
	KIND_OPEN,
	KIND_MMAP,
	KINDS
};

/* One page at most; all 64 bits, as in the test. */
struct control {
	_Atomic uint64_t counts[KINDS];
	_Atomic uint64_t kind;  /* that fails; KINDS: none */
	_Atomic uint64_t from;  /* the first count that does */
	_Atomic uint64_t until; /* the first that does not again */
	_Atomic uint64_t error; /* errno */
	_Atomic uint64_t failed;
};

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static struct control *control;

/* The code of the program itself. */
static uintptr_t code_begin, code_end;

/* The first that is listed is the program. */
static int
find_code(struct dl_phdr_info *info, size_t size, void *arg)
{
	const ElfW(Phdr) * part;

	(void)size;
	(void)arg;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		part = &info->dlpi_phdr[i];
		if (part->p_type != PT_LOAD || (part->p_flags & PF_X) == 0)
			continue;
		code_begin = info->dlpi_addr + part->p_vaddr;
		code_end = code_begin + part->p_memsz;
	}
	return 1;
}

__attribute__((constructor)) static void
attach(void)
{
	const char *path = getenv("WEIR_FAIL_CONTROL");
	void *map;
	long fd;

	if (path == NULL)
		return;
	fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	if (fd == -1)
		return;
	map = (void *)syscall(SYS_mmap, NULL, sizeof(*control),
	    PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)0);
	syscall(SYS_close, fd);
	if (map == MAP_FAILED)
		return;
	dl_iterate_phdr(find_code, NULL);
	control = map;
}

/* With errno set. */
static int
fails(enum kind kind)
{
	uint64_t number;

	if (control == NULL)
		return 0;
	number = atomic_fetch_add(&control->counts[kind], 1);
	if (atomic_load(&control->kind) != kind ||
	    number < atomic_load(&control->from) ||
	    number >= atomic_load(&control->until))
		return 0;
	atomic_fetch_add(&control->failed, 1);
	errno = (int)atomic_load(&control->error);
	return 1;
}

/* ---- memory -------------------------------------------------------------- */

static int
memory_fails(const void *caller)
{
	uintptr_t at = (uintptr_t)caller;

	return at >= code_begin && at < code_end && fails(KIND_MEMORY);
}

void *
malloc(size_t size)
{
	if (memory_fails(__builtin_return_address(0)))
		return NULL;
	return __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	if (memory_fails(__builtin_return_address(0)))
		return NULL;
	return __libc_calloc(count, size);
}

void *
realloc(void *memory, size_t size)
{
	if (memory_fails(__builtin_return_address(0)))
		return NULL;
	return __libc_realloc(memory, size);
}

void *
aligned_alloc(size_t alignment, size_t size)
{
	if (memory_fails(__builtin_return_address(0)))
		return NULL;
	return __libc_memalign(alignment, size);
}

int
posix_memalign(void **out_memory, size_t alignment, size_t size)
{
	void *memory;

	if (memory_fails(__builtin_return_address(0)))
		return ENOMEM;
	memory = __libc_memalign(alignment, size);
	if (memory == NULL)
		return ENOMEM;
	*out_memory = memory;
	return 0;
}

void *
reallocarray(void *memory, size_t count, size_t size)
{
	size_t bytes;

	if (memory_fails(__builtin_return_address(0)))
		return NULL;
	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_realloc(memory, bytes);
}

static char *
duplicate(const char *string, size_t length)
{
	char *copy = __libc_malloc(length + 1);

	if (copy == NULL)
		return NULL;
	memcpy(copy, string, length);
	copy[length] = '\0';
	return copy;
}

char *
strdup(const char *string)
{
	if (memory_fails(__builtin_return_address(0)))
		return NULL;
	return duplicate(string, strlen(string));
}

char *
strndup(const char *string, size_t length)
{
	if (memory_fails(__builtin_return_address(0)))
		return NULL;
	return duplicate(string, strnlen(string, length));
}

int
asprintf(char **out_string, const char *format, ...)
{
	va_list list;
	int length;

	if (memory_fails(__builtin_return_address(0)))
		return -1;
	va_start(list, format);
	length = vasprintf(out_string, format, list);
	va_end(list);
	return length;
}

/* ---- files --------------------------------------------------------------- */

/* What fails has written half of it: the disk was full, or broke. */
ssize_t
pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
	if (fails(KIND_WRITE)) {
		syscall(SYS_pwrite64, fd, bytes, length / 2, offset);
		errno = (int)atomic_load(&control->error);
		return -1;
	}
	return syscall(SYS_pwrite64, fd, bytes, length, offset);
}

int
fdatasync(int fd)
{
	return fails(KIND_SYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	return fails(KIND_SYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

static int
open_at(int directory, const char *path, int flags, mode_t mode)
{
	if (fails(KIND_OPEN))
		return -1;
	return (int)syscall(SYS_openat, directory, path, flags, mode);
}

/* The mode is there only if it is needed. */
#define MODE_OF(flags, last, mode)                                             \
	do {                                                                   \
		va_list list;                                                  \
                                                                               \
		va_start(list, last);                                          \
		mode = ((flags) & (O_CREAT | O_TMPFILE)) != 0                  \
		    ? va_arg(list, mode_t)                                     \
		    : 0;                                                       \
		va_end(list);                                                  \
	} while (0)

int
open(const char *path, int flags, ...)
{
	mode_t mode;

	MODE_OF(flags, flags, mode);
	return open_at(AT_FDCWD, path, flags, mode);
}

int
openat(int directory, const char *path, int flags, ...)
{
	mode_t mode;

	MODE_OF(flags, flags, mode);
	return open_at(directory, path, flags, mode);
}

void *
mmap(void *address, size_t length, int protection, int flags, int fd,
    off_t offset)
{
	if (fails(KIND_MMAP))
		return MAP_FAILED;
	return (void *)syscall(
	    SYS_mmap, address, length, protection, flags, fd, offset);
}
