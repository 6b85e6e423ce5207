# shellcheck shell=bash disable=SC2154 # variables of lib.sh
# The users who run the containers of run.sh, and the control groups that they are given.

ranged=shibafu-r$$ plain=shibafu-p$$

cleanup() {
	local user
	for user in "$ranged" "$plain"; do
		groups_of "$user" | while read -r dir; do remove_group "$dir"; done
		if id "$user" >/dev/null 2>&1; then userdel --force "$user"; fi
	done
}

# people: makes the users. The first gets ids that nobody else has.
people() {
	local user first
	for user in "$ranged" "$plain"; do
		useradd --system --no-create-home --home-dir "$work/$user" --shell /bin/sh "$user"
		install -d -m 755 -o "$user" -g "$user" "$work/$user"
	done
	first=$(awk -F: '{ if ($2 + $3 > first) first = $2 + $3 } END { print (first < 100000) ? 100000 : first }' /etc/subuid /etc/subgid)
	usermod --add-subuids "$first-$((first + 65535))" --add-subgids "$first-$((first + 65535))" "$ranged"
}

# trees: the trees of control groups that limits need, one a line.
trees() { awk '/ - cgroup2 / || / - cgroup / && $NF ~ /(^|,)(memory|pids)(,|$)/ { print $5 }' /proc/self/mountinfo; }

# groups_of USER: the groups that were given to a user, one a line.
groups_of() { trees | while read -r top; do find "$top" -maxdepth 1 -name "$1-*"; done; }

remove_group() {
	local dir
	find "$1" -depth -type d | while read -r dir; do
		for _ in $(seq 50); do
			if rmdir "$dir" 2>/dev/null; then break; fi
			sleep 0.1
		done
	done
}

# as USER: what follows is done with ${shibafu[@]}, which is shibafu run by that user, in
# a folder of his.
as() {
	user=$1
	cd "$work/$user" || exit
	shibafu=(env --default-signal=INT XDG_DATA_HOME="$work/$user/data" DOCKER_CONFIG="$work/$user" "$work/shibafu")
	if [ "$user" != root ]; then
		shibafu=(setpriv --reuid "$user" --regid "$user" --init-groups --inh-caps=-all "${shibafu[@]}")
	fi
	# shellcheck disable=SC2034 # for the script that sources this
	state=$work/$user/data/shibafu/run
	trap 'kill -KILL $(jobs -p) || true' EXIT # what a check that fails leaves
}

# given COMMAND…: runs it in a control group that is the user's, as systemd gives him one.
given() (
	me=$BASHPID
	for top in $(trees); do
		if grep -qsw memory "$top/cgroup.controllers"; then echo '+memory +pids' >"$top/cgroup.subtree_control"; fi
		mkdir "$top/$user-$me"
		chown -R "$user" "$top/$user-$me"
		echo "$me" >"$top/$user-$me/cgroup.procs"
	done
	exec "$@"
)
