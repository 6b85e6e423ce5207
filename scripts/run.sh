#!/usr/bin/env bash
# Containers for real: root runs them, a user who has a range of ids, and one who has
# none. The users are made for this run, and removed at its end.
# shellcheck disable=SC2016 # what stands in single quotes is for shells in containers

if [ "$(id -u)" != 0 ]; then
	echo "run.sh: needs root, to make the users that run containers without it" >&2
	exit 1
fi
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interop/common.sh"
. "$(dirname "$0")/run/users.sh"

run() { "${shibafu[@]}" run --quiet "$@"; }

# ends CODE COMMAND…: it must end with that exit code. What it says is in "said".
ends() {
	local want=$1 status=0
	shift
	"$@" >said 2>&1 || status=$?
	cat said
	same "exit code of $*" "$status" "$want"
}

# until_that COMMAND…: waits for it to succeed.
until_that() {
	for _ in $(seq 150); do
		if "$@"; then return; fi
		sleep 0.1
	done
	fail "this does not come to be: $*"
}

# ended PID: waits for a program, and sets $code.
ended() {
	code=0
	wait "$1" || code=$?
}

# free_port: a port that nobody listens on.
free_port() {
	local port
	while port=$((20000 + RANDOM % 10000)) && (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
	echo "$port"
}

run_images() {
	as root
	"${shibafu[@]}" layer add alpine-base "$work/layers/alpine-base"
	"${shibafu[@]}" layer add python-runtime "$work/layers/python-runtime"
	"${shibafu[@]}" push "$image" --layers alpine-base,python-runtime --cmd 'python app.py'
	"${shibafu[@]}" push "$unprivileged" --layers alpine-base --user 1000 --cmd 'id -u' --workdir /tmp
}

run_python() {
	as "$1"
	run "$image" python app.py one two >said
	grep -x 'Python 3.* on Linux' said
	grep -x 'arguments: one two' said
	grep -x 'a file that app.py wrote' said
	same "what one container writes another does not see" "$(run "$image" sh -c '[ -e /tmp/written ] || echo gone')" gone
	same "containers left" "$(find "$state/containers" -mindepth 1)" ""
}

run_shell() {
	as "$1"
	same "environment" "$(run -e A=b "$image" env | grep ^A=)" A=b
	same "folder" "$(run -w /usr/bin "$image" pwd)" /usr/bin
	same "hostname" "$(run --hostname island "$image" hostname)" island
	same "first process, and the command" "$(run "$image" sh -c 'cd /proc && set -- [0-9]* && echo $#')" 2
	same "standard input" "$(echo text | run -i "$image" cat)" text
	same "interfaces" "$(run "$image" sh -c 'ls /sys/class/net')" lo
}

run_codes() {
	as "$1"
	ends 3 run "$image" sh -c 'exit 3'
	ends 143 run "$image" sh -c 'kill -TERM $$'
	ends 137 run "$image" sh -c 'kill -KILL $$'
	ends 127 run "$image" no-such-program
	ends 126 run "$image" /etc/passwd
	ends 125 run --pull never "$registry/app/none"
	ends 125 run --no-such-flag "$image"
}

# run_owners does what a package manager does when it unpacks. Who has one id only
# cannot give a file to somebody else.
run_owners() {
	as "$1"
	local script='mkdir /opt /opt/tool && echo tool >/opt/tool/run && chown -R 0:0 /opt && chmod 4755 /opt/tool/run &&
		ln /opt/tool/run /opt/run && ln -s run /opt/link && mv /opt/tool /opt/moved && stat -c %u:%g:%a /opt/run'
	same "root's" "$(run "$image" sh -c "$script")" 0:0:4755
	script='chown 1000:8 /app.py && stat -c %u:%g /app.py && su app -c "id -u"'
	case $user in
	"$plain") ends 1 run "$image" sh -c "$script" ;;
	*) same "somebody's" "$(run "$image" sh -c "$script" | xargs)" "1000:8 1000" ;;
	esac
}

run_unprivileged() {
	as "$1"
	case $user in
	"$plain")
		ends 125 run "$unprivileged"
		grep -e "/etc/subuid has no range for $user" said
		same "as root" "$(run -u 0 "$unprivileged" id -u)" 0
		;;
	*)
		same "user" "$(run "$unprivileged")" 1000
		ends 1 run "$unprivileged" touch /bin/new
		;;
	esac
}

run_volumes() {
	local owner
	as "$1"
	mkdir -p shared
	echo outside >shared/file
	chown -R "$user" shared
	chmod 777 shared
	same "read" "$(run -v "$PWD/shared:/mnt/deep" "$image" cat /mnt/deep/file)" outside
	run -v ./shared:/mnt "$image" sh -c 'echo inside >/mnt/new'
	same "written" "$(cat shared/new)" inside
	same "owner" "$(stat -c %U shared/new)" "$user"
	ends 1 run -v ./shared:/mnt:ro "$image" touch /mnt/other
	grep 'Read-only file system' said
	if [ "$user" != "$plain" ]; then
		run -v ./shared:/mnt -u 1000 "$image" touch /mnt/theirs
		owner=1000
		if [ "$user" = "$ranged" ]; then owner=$(($(awk -F: -v name="$user" '$1 == name { print $2 }' /etc/subuid) + 999)); fi
		same "owner of somebody's" "$(stat -c %u shared/theirs)" "$owner"
	fi
}

run_ports() {
	local port pid code
	as "$1"
	mkdir -p pages
	echo hello >pages/hello
	head -c 5000000 /dev/urandom >pages/noise
	port=$(free_port)
	"${shibafu[@]}" run -p "$port:8080" -v ./pages:/www:ro "$image" httpd -f -p 8080 -h /www &
	pid=$!
	until_that curl -fsS --noproxy '*' "http://127.0.0.1:$port/hello"
	same "page" "$(curl -fsS --noproxy '*' "http://127.0.0.1:$port/hello")" hello
	curl -fsS --noproxy '*' "http://127.0.0.1:$port/noise" | cmp - pages/noise
	kill -TERM "$pid"
	ended "$pid"
	same "exit code" "$code" 143
	fails curl -fsS --noproxy '*' "http://127.0.0.1:$port/hello"
}

run_interrupted() {
	local pid code
	as "$1"
	: >log
	"${shibafu[@]}" run "$image" sh -c 'trap "echo interrupted; exit 7" INT; echo ready; while :; do sleep 0.1; done' >log &
	pid=$!
	until_that grep -q ready log
	kill -INT "$pid"
	ended "$pid"
	same "exit code" "$code" 7
	grep interrupted log
}

# run_terminal types at a shell in a container, by a terminal that "script" makes.
run_terminal() {
	local pid code
	as "$1"
	rm -f keys
	mkfifo keys
	printf '%q ' "${shibafu[@]}" run --quiet -it "$image" sh >typed
	sed -i '1i stty rows 31 cols 97' typed
	script --quiet --return --command "sh typed" screen <keys >shown &
	pid=$!
	exec 6>keys
	until_that grep -q '# ' shown
	printf 'echo size: $(stty size), terminal: $(tty)\r' >&6
	until_that grep 'size: 31 97, terminal: /dev/' shown
	printf 'sh -c "echo go; echo on; exec sleep 1000"\r' >&6
	until_that grep -q '^on' shown
	printf '\003' >&6
	printf 'echo after: $?\r' >&6
	until_that grep 'after: 130' shown
	printf 'exit 5\r' >&6
	ended "$pid"
	exec 6>&-
	same "exit code" "$code" 5
	ends 125 run -it "$image" sh
	grep 'standard input is none' said
	same "a terminal that nobody types at" "$(run -t "$image" tty)" $'/dev/pts/0\r'
}

run_read_only() {
	as "$1"
	ends 1 run --read-only "$image" touch /tmp/new
	grep 'Read-only file system' said
	same "memory" "$(run --read-only "$image" sh -c 'echo kept >/dev/shm/file && cat /dev/shm/file')" kept
}

# limits is for who may have control groups.
limits() {
	ends 137 run --memory 40m "$image" python -c 'b"x" * (1 << 29)'
	grep 'its memory of 41943040 bytes was used up' said
	ends 0 run --memory 40m "$image" python -c 'b"x" * (1 << 20)'
	ends 2 run --pids-limit 20 "$image" sh -c 'for i in $(seq 100); do sleep 100 & done'
	grep "can't fork" said
	ends 0 run --pids-limit 50 "$image" sh -c 'bomb() { bomb | bomb & }; bomb; exec sleep 1'
}

run_limits() {
	as "$1"
	limits
}

run_given() {
	as "$1"
	shibafu=(given "${shibafu[@]}")
	limits
}

# run_unlimited: a limit that is not to be had is an error. The usual one is there.
run_unlimited() {
	as "$1"
	ends 125 run --memory 40m "$image" true
	grep 'limit cannot be had here' said
	same "processes" "$(run "$image" sh -c 'ulimit -u')" 2064
}

# run_killed: what a container leaves that was killed together with its caller is gone
# with the next "prune", and so is what no image needs.
run_killed() {
	local pid code
	as "$1"
	: >log
	"${shibafu[@]}" run --name victim "$image" sh -c 'echo ready; sleep 1000' >log &
	pid=$!
	until_that grep -q ready log
	kill -KILL "$pid"
	ended "$pid"
	same "exit code" "$code" 137
	until_that flock --nonblock "$state/containers/victim/lock" true
	"${shibafu[@]}" rm "$image" "$unprivileged"
	"${shibafu[@]}" prune
	same "containers" "$(find "$state/containers" -mindepth 1)" ""
	same "layers" "$(find "$state/layers" -mindepth 1)" ""
	same "control groups" "$(find /sys/fs/cgroup -name victim)" ""
	fails grep "$state" /proc/self/mountinfo
}

mkdir -p "$work/files" "$work/root"
for program in newuidmap:uidmap curl:curl script:bsdutils useradd:passwd flock:util-linux; do
	debian "${program%:*}" "${program#*:}"
done
build
"$project/scripts/layers.sh" "$work/layers"
chmod a+x "$work" "$work/shibafu"
people
serve --log-level info
image=$registry/app/python:v1 unprivileged=$registry/app/unprivileged:v1

check "images are made" run_images
for user in root "$ranged" "$plain"; do
	case $user in
	root) who=root ;;
	"$ranged") who="a user with ids" ;;
	*) who="a user without ids" ;;
	esac
	check "$who: Python runs" run_python "$user"
	check "$who: a shell runs, in a world of its own" run_shell "$user"
	check "$who: exit codes" run_codes "$user"
	check "$who: owners and modes" run_owners "$user"
	check "$who: an image with a user" run_unprivileged "$user"
	check "$who: volumes" run_volumes "$user"
	check "$who: a published port" run_ports "$user"
	check "$who: an interrupt" run_interrupted "$user"
	check "$who: a terminal" run_terminal "$user"
	check "$who: a root file system that cannot be written to" run_read_only "$user"
	if [ "$user" = root ]; then
		check "$who: limits" run_limits "$user"
	else
		check "$who: limits that are not to be had" run_unlimited "$user"
		check "$who: limits, with a control group" run_given "$user"
	fi
	check "$who: kill -9, and prune" run_killed "$user"
done
stop
say "$checks checks passed"
