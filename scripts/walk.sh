# shellcheck shell=bash
# What the walkthroughs of the steps share, with lib.sh.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# program STEP: makes $work/STEP. The walks do not use "go run", which leaves the
# program running when it is killed itself.
program() { (cd "$project" && go build -o "$work/" "./$1"); }

# begin STEP FLAGS...: builds the program of a step, starts it on a port of its own,
# and sets $base (http://host:port) and $server (its pid); stop ends it.
begin() {
	local step=$1
	shift
	program "$step"
	: >"$work/server.log"
	"$work/$step" --addr 127.0.0.1:0 "$@" >"$work/server.log" 2>&1 &
	server=$!
	pids+=("$server")
	base=http://$(listening "$work/server.log")
}

# request METHOD URL FLAGS...: asks with curl. What comes back is for want and
# header; the body is in $work/body.
request() {
	local method=(-X "$1")
	if [ "$1" = HEAD ]; then method=(--head); fi
	asked="$1 ${2#"$base"}"
	code=$(curl -sS --noproxy '*' -o "$work/body" -D "$work/headers" -w '%{http_code}' "${method[@]}" "${@:3}" "$2")
}

# header NAME: its value in the last response.
header() { sed -n "s/^$1: //Ip" "$work/headers" | tr -d '\r' | tail -n 1; }

# want STATUS [NAME VALUE]...: compares the last response's status and headers.
want() {
	[ "$code" = "$1" ] || fail "$asked: status $code, want $1: $(cat "$work/body")"
	shift
	while [ $# -gt 0 ]; do
		same "$asked: $1" "$(header "$1")" "$2"
		shift 2
	done
}

# error CODE: wants the last response to report it.
error() {
	grep -q "^{\"errors\":\[{\"code\":\"$1\"," "$work/body" || fail "$asked: not $1 but $(cat "$work/body")"
}

# digest FILE: its sha256 digest.
digest() { sha256sum "$1" | sed 's/^/sha256:/; s/ .*//'; }
