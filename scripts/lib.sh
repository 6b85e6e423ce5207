# shellcheck shell=bash
# What the scripts share. Source it first: . "$(dirname "$0")/lib.sh"
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Programs to test with are installed once and kept from run to run.
tools=${SHIBAFU_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/shibafu/bin}
export PATH=$tools:$PATH
# A folder of this run's own, removed at its end with all that was started.
work=$(mktemp -d)
pids=()

finish() {
	local status=$?
	trap - EXIT
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
	if declare -F cleanup >/dev/null; then cleanup || true; fi
	rm -rf "$work"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

say() { printf '== %s\n' "$*"; }
fail() {
	printf 'FAIL: %s\n' "$*" >&2
	exit 1
}

# same WHAT GOT WANT
same() { [ "$2" = "$3" ] || fail "$1: got '$2', want '$3'"; }

# debian PROGRAM PACKAGE: installs PACKAGE unless PROGRAM is there.
debian() {
	command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || {
		[ "$(id -u)" = 0 ] || fail "$1 is missing: install the Debian package $2"
		apt-get install -qq -y --no-install-recommends "$2" >"$work/apt.log" 2>&1 ||
			{ apt-get update -qq && apt-get install -qq -y --no-install-recommends "$2"; } >>"$work/apt.log" 2>&1 ||
			{ cat "$work/apt.log" >&2; fail "cannot install $2"; }
	}
}

# gotool PROGRAM MODULE@VERSION: builds it unless that version is there, and calls
# it PROGRAM, so that two versions can stand side by side.
gotool() {
	local have=$tools/$1.version bin=$work/gobin
	if [ ! -x "$tools/$1" ] || [ "$(cat "$have" 2>/dev/null)" != "$2" ]; then
		mkdir -p "$tools"
		rm -rf "$bin"
		GOFLAGS='' GOWORK=off GOBIN=$bin go install "$2" >"$work/go.log" 2>&1 ||
			{ cat "$work/go.log" >&2; fail "cannot build $1"; }
		mv "$bin"/* "$tools/$1"
		echo "$2" >"$have"
	fi
}

# build: makes $work/shibafu.
build() { (cd "$project/shibafu" && CGO_ENABLED=0 go build -o "$work/shibafu" .); }

# listening LOG: waits until a program has said in LOG where it listens, and
# prints host:port.
listening() {
	for _ in $(seq 100); do
		if grep -Eom1 'https?://[0-9.:]+' "$1" 2>/dev/null | sed -E 's|https?://||' | grep .; then return; fi
		sleep 0.1
	done
	cat "$1" >&2
	fail "nothing listens"
}

# serve FLAGS...: starts shibafu on a port of its own with a store in $work/store
# unless FLAGS name another, and sets $registry (host:port) and $server (its pid).
serve() {
	: >"$work/server.log"
	"$work/shibafu" registry serve --port 0 --root "$work/store" "$@" >"$work/server.log" 2>&1 &
	server=$!
	pids+=("$server")
	# shellcheck disable=SC2034 # for the script that sources this
	registry=$(listening "$work/server.log")
}

# stop: ends the server started last, in good order.
stop() {
	kill "$server"
	wait "$server" || fail "the server ended with $?: $(cat "$work/server.log")"
}
