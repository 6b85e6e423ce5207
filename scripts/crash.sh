#!/usr/bin/env bash
# Crashes the registry in every way there is, and asks for what it acknowledged.
#
#	scripts/crash.sh                  all that follows, as often as CI does it
#	scripts/crash.sh kill [CYCLES]    kill -9 while eight clients push
#	scripts/crash.sh power [CYCLES]   the power is cut: ext4, xfs and btrfs
#	scripts/crash.sh full             a disk of 8 MiB
#	scripts/crash.sh faults [all]     system calls fail, a sample of them or all
#	scripts/crash.sh settles [CYCLES] kills and power cuts, with a checkpoint every moment
#	scripts/crash.sh broken [CYCLES]  builds that are wrong on purpose must be found out
#
# SEED=N repeats the random choices of another run. Mounting needs root.

# A mount lives on in every mount namespace that others have made meanwhile, and with it
# a file system that was cut off. In a namespace of its own nobody else sees it.
if [ "$(id -u)" = 0 ] && [ -z "${CRASH_NAMESPACE-}" ]; then
	exec env CRASH_NAMESPACE=own unshare --mount -- "$BASH" "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"

seed=${SEED:-0}
store=$project/step2-cas/bucket/dir

cleanup() {
	grep -o " $work/[^ ]*" /proc/self/mounts | tac | while read -r folder; do umount -l "$folder"; done
	losetup --list --noheadings --output NAME,BACK-FILE | grep -F " $work/" | while read -r device _; do losetup -d "$device"; done
}

# crash PART SERVER FLAGS...: runs a part, so that a signal to this script ends it.
crash() {
	local part=$1 server=$2
	shift 2
	mkdir -p "$work/run"
	"$work/crash" "$part" -server "$server" -work "$work/run" -seed "$seed" "$@" &
	pids+=("$!")
	wait "$!"
}

root() { [ "$(id -u)" = 0 ] || fail "$1 needs root, as it mounts file systems"; }

kill_() { crash kill "$work/shibafu" -cycles "$1" -timeout "$((60 + 3 * $1))s"; }

power() {
	root power
	debian mkfs.ext4 e2fsprogs
	debian mkfs.xfs xfsprogs
	debian mkfs.btrfs btrfs-progs
	crash power "$work/shibafu" -cycles "$1" -timeout "$((120 + 15 * $1))s"
}

full() {
	root full
	crash full "$work/shibafu"
}

faults() {
	debian strace strace
	mkdir -p "$work/run"
	# Where nothing waits for a disk it takes half the time.
	[ "$(id -u)" != 0 ] || mount -t tmpfs shibafu-faults "$work/run"
	crash faults "$work/shibafu" -all="$1" -timeout 30m
	[ "$(id -u)" != 0 ] || umount "$work/run"
}

# wrong NAME FILE SED...: builds $work/NAME from a copy of FILE that each SED
# changes. The product has no switch for this.
wrong() {
	local name=$1 file=$2 expression
	shift 2
	cp "$file" "$work/$name.go"
	for expression; do
		sed "$expression" "$work/$name.go" >"$work/$name.new"
		cmp -s "$work/$name.go" "$work/$name.new" &&
			fail "the build $name cannot be made any more: nothing in $file matches $expression"
		mv "$work/$name.new" "$work/$name.go"
	done
	printf '{"Replace": {"%s": "%s"}}' "$file" "$work/$name.go" >"$work/$name.json"
	(cd "$project/shibafu" && CGO_ENABLED=0 go build -overlay "$work/$name.json" -o "$work/$name" .)
}

# settles: the journal's checkpoints come every five seconds, which is longer than most
# servers live here. This build makes them as often as it can.
settles() {
	root settles
	debian mkfs.ext4 e2fsprogs
	wrong settling "$store/checkpoint.go" \
		's/settleAfter = .*/settleAfter = 10 * time.Millisecond/' \
		's/journalSize = .*/journalSize = 32 << 10/'
	crash kill "$work/settling" -cycles "$1" -timeout "$((60 + 3 * $1))s"
	crash power "$work/settling" -fs ext4 -cycles "$1" -timeout "$((120 + 5 * $1))s"
}

# must_fail NAME CYCLES MOMENT WHAT: the build must lose something.
must_fail() {
	local status=0
	crash power "$work/$1" -fs ext4 -cycles "$2" -at "$3" >"$work/$1.log" 2>&1 || status=$?
	[ "$status" = 3 ] || {
		cat "$work/$1.log" >&2
		fail "a build that $4 was not found out in $2 cycles (status $status)"
	}
	say "a build that $4 is found out:"
	sed -n '1,3p' "$work/$1.log" | cut -c 1-300
}

broken() {
	root broken
	debian mkfs.ext4 e2fsprogs
	wrong never-synced "$store/sync.go" \
		's/^\t\tdata: .*/\t\tdata: func(*os.File) error { return nil },/' \
		's/^\t\tfile: .*/\t\tfile: func(*os.File) error { return nil },/' \
		's/^\t\tfolder: .*/\t\tfolder: func(string) error { return nil },/' \
		's/^\t\tall: .*/\t\tall: func() error { return nil },/'
	must_fail never-synced "$1" random "syncs nothing"
	wrong answers-early "$store/journal/journal.go" \
		's/^\tif err := j.sync(j.file); err != nil {$/go j.sync(j.file)\nif err := error(nil); err != nil {/'
	must_fail answers-early "$1" ack "answers before what it wrote is durable"
	wrong shows-early "$store/checkpoint.go" \
		's/^\tif size, err = b.journal.Commit(r); err != nil {$/if err := apply(); err != nil {\nreturn true, 0, err\n}\n&/' \
		's/^\treturn true, size, apply()$/return true, size, nil/'
	must_fail shows-early "$1" sight "shows others what is not durable yet"
}

case ${1:-} in
'' | kill | power | full | faults | settles | broken) ;;
*) fail "no part $1: want kill, power, full, faults, settles or broken" ;;
esac
build
(cd "$project/scripts" && go build -o "$work/crash" ./crash)
case ${1:-} in
'')
	kill_ 50
	power 3
	full
	faults false
	settles 20
	broken 30
	;;
kill) kill_ "${2:-50}" ;;
power) power "${2:-3}" ;;
full) full ;;
faults) faults "$([ "${2:-}" = all ] && echo true || echo false)" ;;
settles) settles "${2:-20}" ;;
broken) broken "${2:-30}" ;;
esac
say "crash: passed"
