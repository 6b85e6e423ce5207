#!/usr/bin/env bash
# Kills "shibafu run" at each system call of its setup, whoever makes it: the command,
# the first process of the container, the worker that unpacks. What remains after that
# ends by itself within a second, the next run works, and once it has been cleaned up
# there are no containers, mounts, control groups or processes.
# It is run by root, or by a user without a range of ids: under strace newuidmap has not
# the rights that it needs.
#
#	scripts/killed.sh            a sample of the calls
#	scripts/killed.sh all        all of them
. "$(dirname "$0")/lib.sh"

debian strace strace
build
export XDG_DATA_HOME=$work/home DOCKER_CONFIG=$work/home HOME=$work/home
state=$work/state
mkdir -p "$work/home" "$work/root/bin" "$state"

# An image of one program, which is in several layers so that some are unpacked.
(cd "$project/shibafu" && CGO_ENABLED=0 go build -o "$work/root/bin/probe" ./internal/container/testdata/probe)
mkdir "$work/other" && echo other >"$work/other/other"
"$work/shibafu" layer add base "$work/root" >"$work/log" 2>&1 || fail "$(cat "$work/log")"
"$work/shibafu" layer add other "$work/other" >"$work/log" 2>&1 || fail "$(cat "$work/log")"
# shellcheck disable=SC2119
serve
image=$registry/image:v1
"$work/shibafu" push --plain-http --layers base,other "$image" >"$work/log" 2>&1 || fail "$(cat "$work/log")"
stop

run() { "$work/shibafu" run -q --pull never --state "$state" "$image" probe echo well; }

# store: what ends the names of its control groups.
store() { stat -c '%D-%i' "$state" | { IFS=- read -r device inode; printf '%s-%x' "$device" "$inode"; }; }

# remaining: processes that have something of the store open.
remaining() { find /proc/[0-9]*/fd -lname "$state/*" 2>/dev/null || true; }

# clean WHERE: what must hold after a kill.
clean() {
	for _ in $(seq 20); do
		[ -n "$(remaining)" ] || break
		sleep 0.05
	done
	same "$1: processes" "$(remaining)" ''
	same "$1: the next run" "$(run 2>&1)" well
	"$work/shibafu" prune --state "$state" >"$work/log" 2>&1 || fail "$1: prune: $(cat "$work/log")"
	same "$1: containers" "$(ls "$state/containers")" ''
	same "$1: unfinished layers" "$(find "$state/layers" -mindepth 1 -maxdepth 1 -name '.*')" ''
	same "$1: mounts" "$(grep -F "$state" /proc/self/mountinfo || true)" ''
	same "$1: control groups" "$(find /sys/fs/cgroup -maxdepth 4 -name "*-$(store)" 2>/dev/null)" ''
}

# sweep CALL STEP: kills at each STEPth of the calls, until there are no more.
sweep() {
	local call=$1 k=1 hits=0
	while :; do
		rm -rf "$state/layers" # so that something is unpacked
		(strace -f -qq -o "$work/trace" -e "trace=$call" -e "inject=$call:signal=KILL:when=$k" \
			"$work/shibafu" run -q --pull never --state "$state" "$image" probe echo well || true) >"$work/log" 2>&1
		grep -q 'killed by SIGKILL' "$work/trace" || break
		hits=$((hits + 1))
		clean "killed at $call $k"
		k=$((k + $2))
	done
	[ "$hits" -gt 0 ] || fail "$call is never made"
	killed=$((killed + hits))
}

same "a run that nobody kills" "$(run 2>&1)" well
killed=0
# What changes something outside of the process, and what makes it.
few=("clone,clone3" execve mkdirat mount fsmount move_mount pivot_root umount2 setsid sendmsg seccomp capset unshare sethostname memfd_create pipe2 flock)
many=(openat openat2 mount_setattr open_tree unlinkat renameat symlinkat fchmodat write read close fcntl prctl syncfs)
for call in "${few[@]}"; do sweep "$call" 1; done
for call in "${many[@]}"; do sweep "$call" "$([ "${1:-}" = all ] && echo 1 || echo 31)"; done
say "killed at $killed system calls: nothing remained"
