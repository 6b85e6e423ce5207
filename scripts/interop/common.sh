# shellcheck shell=bash disable=SC2154 # variables of lib.sh and common.sh
# What the parts of interop.sh and layout.sh share.

shopt -s inherit_errexit
checks=0

# check WHAT FUNCTION…: runs a check in a shell of its own, in $work/files, and
# prints a line. If it fails, or the server had something to say, so does the script.
check() {
	local what=$1 status=0
	shift
	# Not "( … ) || status": bash would then go on after a command that fails.
	(
		cd "$work/files" || exit
		exec 9>&1
		BASH_XTRACEFD=9
		set -x
		"$@"
	) >"$work/check.log" 2>&1 </dev/null &
	wait $! || status=$?
	if [ "$status" = 0 ]; then quiet "$work/server.log" 2>>"$work/check.log" || status=$?; fi
	if [ "$status" != 0 ]; then
		cat "$work/check.log" >&2
		fail "$what"
	fi
	checks=$((checks + 1))
	printf 'ok   %s\n' "$what"
}

# quiet LOG: a server says where it listens, and nothing else.
quiet() {
	[ -e "$1" ] || return 0
	if grep -v '^shibafu: serving on ' "$1" >&2; then
		echo "the server had something to say" >&2
		return 1
	fi
}

# accept is what a manifest may be. docker-registry gives nothing else, not even to
# those who accept */*.
oci=application/vnd.oci.image docker=application/vnd.docker.distribution.manifest
accept="$oci.manifest.v1+json,$oci.index.v1+json,$docker.v2+json,$docker.list.v2+json"

# manifest NAME REFERENCE: prints what $registry serves, once its digest is known to
# be right.
manifest() {
	local head body claimed
	head=$(mktemp -p "$work") body=$(mktemp -p "$work")
	curl -fsS -D "$head" -o "$body" -H "Accept: $accept" "http://$registry/v2/$1/manifests/$2"
	claimed=$(sed -n 's/^docker-content-digest: *\([a-z0-9:]*\).*/\1/Ip' "$head")
	same "bytes of $1:$2" "${claimed%%:*}:$("${claimed%%:*}sum" <"$body" | cut -d' ' -f1)" "$claimed"
	cat "$body"
}

# served NAME REFERENCE: the sha256 digest of what $registry serves.
served() {
	local sum
	sum=$(manifest "$1" "$2" | sha256sum)
	echo "sha256:${sum%% *}"
}

# tags NAME: the tags of a repository of $registry, in a line. catalog: its
# repositories. referrers NAME DIGEST: what they are of, in a line.
tags() { curl -fsS "http://$registry/v2/$1/tags/list?n=1000" | jq -r '[.tags[]?] | sort | join(" ")'; }
catalog() { curl -fsS "http://$registry/v2/_catalog?n=1000" | jq -r '[.repositories[]?] | sort | join(" ")'; }
referrers() {
	curl -fsS "http://$registry/v2/$1/referrers/$2" | jq -r '[.manifests[].artifactType] | sort | join(" ")'
}

# fails COMMAND…: it must. (To "set -e" a "! COMMAND" that succeeds is no failure.)
fails() { if "$@"; then fail "this should have failed: $*"; fi; }

# engine: starts a Docker engine of this run's own, which "docker" then talks to.
engine() {
	debian dockerd docker.io
	debian docker docker-cli # a package of its own from Debian 13 on
	export DOCKER_HOST=unix://$work/docker/socket DOCKER_CONFIG=$work/docker/config DOCKER_CLI_HINTS=false
	unset DOCKER_CONTEXT DOCKER_CONTENT_TRUST DOCKER_TLS_VERIFY
	mkdir -p "$DOCKER_CONFIG"
	echo '{}' >"$DOCKER_CONFIG/config.json" # podman, crane and oras look there too
	dockerd --data-root "$work/docker/data" --exec-root "$work/docker/exec" --pidfile "$work/docker/pid" \
		-H "$DOCKER_HOST" --bridge none --iptables=false --ip-forward=false >"$work/dockerd.log" 2>&1 &
	pids+=("$!")
	for _ in $(seq 100); do
		if docker version >"$work/docker/version" 2>&1; then return; fi
		sleep 0.2
	done
	tail -20 "$work/dockerd.log" >&2
	fail "the Docker engine does not start"
}

# rootfs DIR: the files of a small image that can run.
rootfs() {
	debian busybox busybox-static
	if ldd "$(command -v busybox)" >/dev/null 2>&1; then
		# It needs libraries that the image has not.
		apt-get install -qq -y --no-install-recommends busybox-static >"$work/apt.log" 2>&1 || fail "cannot install busybox-static"
	fi
	mkdir -p "$1/bin" "$1/tmp"
	cp "$(command -v busybox)" "$1/bin/busybox"
	for name in sh cat echo; do ln -sf busybox "$1/bin/$name"; done
}

# unmount_below DIR: detaches whatever is mounted there.
unmount_below() {
	awk -v below="$1/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
		while read -r point; do umount --lazy "$point"; done
}

# proxy: starts a proxy to the server that cuts each large blob once, sets $cutter
# (host:port), and logs requests to $work/cutter.log. It ends with the check.
proxy() {
	(cd "$project/scripts" && go build -o "$work/cutter" ./interop/cutter)
	: >"$work/cutter.log"
	"$work/cutter" "$registry" >"$work/cutter.log" 2>&1 &
	# shellcheck disable=SC2064 # the process of now
	trap "kill $!" EXIT
	# shellcheck disable=SC2034 # for the part that calls this
	cutter=$(set +x && listening "$work/cutter.log")
}
