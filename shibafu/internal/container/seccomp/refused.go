package seccomp

// refused lists what the profile gives only to those with a capability that a
// container does not have, or to nobody. Whoever calls it hears EPERM.
var refused = []call{
	// CAP_DAC_READ_SEARCH
	{"open_by_handle_at", 304, 265},
	// CAP_SYS_ADMIN
	{"syslog", 103, 116},
	{"mount", 165, 40},
	{"umount2", 166, 39},
	{"sethostname", 170, 161},
	{"setdomainname", 171, 162},
	{"quotactl", 179, 60},
	{"lookup_dcookie", 212, 18},
	{"unshare", 272, 97},
	{"perf_event_open", 298, 241},
	{"fanotify_init", 300, 262},
	{"setns", 308, 268},
	{"bpf", 321, 280},
	{"open_tree", 428, 428},
	{"move_mount", 429, 429},
	{"fsopen", 430, 430},
	{"fsconfig", 431, 431},
	{"fsmount", 432, 432},
	{"fspick", 433, 433},
	{"mount_setattr", 442, 442},
	{"quotactl_fd", 443, 443},
	{"lsm_get_self_attr", 459, 459},
	{"lsm_set_self_attr", 460, 460},
	{"lsm_list_modules", 461, 461},
	// CAP_SYS_BOOT
	{"reboot", 169, 142},
	// CAP_SYS_MODULE
	{"init_module", 175, 105},
	{"delete_module", 176, 106},
	{"finit_module", 313, 273},
	// CAP_SYS_NICE
	{"mbind", 237, 235},
	{"set_mempolicy", 238, 237},
	{"get_mempolicy", 239, 236},
	{"set_mempolicy_home_node", 450, 450},
	// CAP_SYS_PACCT
	{"acct", 163, 89},
	// CAP_SYS_PTRACE
	{"kcmp", 312, 272},
	{"pidfd_getfd", 438, 438},
	{"process_madvise", 440, 440},
	// CAP_SYS_RAWIO
	{"iopl", 172, none},
	{"ioperm", 173, none},
	// CAP_SYS_TIME
	{"settimeofday", 164, 170},
	{"clock_settime", 227, 112},
	// CAP_SYS_TTY_CONFIG
	{"vhangup", 153, 58},
	// Nobody.
	{"uselib", 134, none},
	{"ustat", 136, none},
	{"sysfs", 139, none},
	{"pivot_root", 155, 41},
	{"_sysctl", 156, none},
	{"swapon", 167, 224},
	{"swapoff", 168, 225},
	{"create_module", 174, none},
	{"get_kernel_syms", 177, none},
	{"query_module", 178, none},
	{"nfsservctl", 180, 42},
	{"getpmsg", 181, none},
	{"putpmsg", 182, none},
	{"afs_syscall", 183, none},
	{"tuxcall", 184, none},
	{"security", 185, none},
	{"vserver", 236, none},
	{"kexec_load", 246, 104},
	{"add_key", 248, 217},
	{"request_key", 249, 218},
	{"keyctl", 250, 219},
	{"migrate_pages", 256, 238},
	{"move_pages", 279, 239},
	{"kexec_file_load", 320, 294},
	{"userfaultfd", 323, 282},
	{"uprobe", 336, none},
	{"io_uring_setup", 425, 425},
	{"io_uring_enter", 426, 426},
	{"io_uring_register", 427, 427},
}

// unknown lists what is newer than the profile, and what it wants to be taken for
// missing: ENOSYS has programs try the older call, as EPERM does not. All numbers
// that are in no list are answered so too.
var unknown = []call{
	{"clone3", 435, 435}, // its flags lie in memory, where a filter cannot look
	{"open_tree_attr", 467, 467},
	{"file_getattr", 468, 468},
	{"file_setattr", 469, 469},
}
