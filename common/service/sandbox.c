/* SPDX-License-Identifier: Apache-2.0 */

#include "common/service/sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "common/base/options.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||     \
    __has_feature(memory_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

/* By name: a kernel or architecture may lack one. */
static const char *const denied[] = {
	/* Into other processes. */
	"ptrace", "process_vm_readv", "process_vm_writev", "kcmp",
	"process_madvise",
	/* Into the kernel. */
	"kexec_load", "kexec_file_load", "init_module", "finit_module",
	"delete_module", "bpf", "perf_event_open", "userfaultfd",
	"io_uring_setup", "io_uring_enter", "io_uring_register",
	"lookup_dcookie", "syslog", "acct", "quotactl", "iopl", "ioperm",
	/* The machine. */
	"reboot", "swapon", "swapoff", "settimeofday", "clock_settime",
	"clock_adjtime", "adjtimex", "sethostname", "setdomainname", "vhangup",
	/* File systems and namespaces. */
	"mount", "umount2", "pivot_root", "chroot", "unshare", "setns",
	"move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick",
	"mount_setattr", "mknod", "mknodat", "open_by_handle_at",
	"name_to_handle_at",
	/* Keys, other users, other personalities. */
	"add_key", "request_key", "keyctl", "setuid", "setgid", "setreuid",
	"setregid", "setresuid", "setresgid", "setgroups", "setfsuid",
	"setfsgid", "personality", "uselib"
};

static const char *const denied_unless_exec[] = { "execve", "execveat" };

/* valgrind runs our calls through its own and preloads its library. */
static bool
is_wanted(void)
{
	const char *setting = getenv("WEIR_SANDBOX");
	const char *preload = getenv("LD_PRELOAD");

	if (IS_SANITIZED || (setting != NULL && strcmp(setting, "0") == 0))
		return false;
	return preload == NULL ||
	    (strstr(preload, "valgrind") == NULL &&
		strstr(preload, "vgpreload") == NULL);
}

static int
deny(scmp_filter_ctx filter, const char *const *names, size_t count)
{
	int call, err = 0;

	for (size_t i = 0; i < count && err == 0; i++) {
		call = seccomp_syscall_resolve_name(names[i]);
		if (call != __NR_SCMP_ERROR)
			err = seccomp_rule_add(
			    filter, SCMP_ACT_ERRNO(EPERM), call, 0);
		/* Of another architecture: nothing to deny here. */
		if (err == -EDOM || err == -EINVAL)
			err = 0;
	}
	return err;
}

int
sandbox_enter(bool may_exec)
{
	scmp_filter_ctx filter;
	int err;

	if (!is_wanted() || prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == -1)
		return -ENOTSUP;
	filter = seccomp_init(SCMP_ACT_ALLOW);
	if (filter == NULL)
		return -ENOMEM;
	/* Threads that run already are covered as well. */
	err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (err == 0)
		err = deny(filter, denied, ARRAY_LENGTH(denied));
	if (err == 0 && !may_exec)
		err = deny(filter, denied_unless_exec,
		    ARRAY_LENGTH(denied_unless_exec));
	if (err == 0)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}
