#!/usr/bin/env bash
# Abuses a registry: thousands of slow connections, floods of passwords, of pulls and of
# HTTP/2's frames, while an honest client must not notice. All of it stays on this
# machine, and takes less than a minute.
# abuse.sh [-only slow,passwords,more-passwords,pulls,silence,strangers,deaf,resets,continuation]
. "$(dirname "$0")/lib.sh"

# Each connection is a descriptor, here and in the server.
ulimit -n "$(ulimit -Hn)"
build
(cd "$project/scripts" && go build -o "$work/abuse" ./abuse)
mkdir "$work/stores"
"$work/abuse" -shibafu "$work/shibafu" -work "$work/stores" "$@" &
pids+=("$!")
wait "$!"
