# shellcheck shell=bash disable=SC2154 # variables of lib.sh and common.sh
# Other registries beside shibafu: the CNCF distribution registry, of either version, and
# crane's, which keeps all in memory.

# peer NAME PROGRAM…: starts it on $work/NAME/store, and sets $registry.
peer() {
	local dir=$work/$1
	peer_program=$2 peer_config=$dir/config.yml
	mkdir -p "$dir/store"
	cat >"$peer_config" <<-END
		version: 0.1
		log: {level: info, accesslog: {disabled: true}}
		storage:
		  filesystem: {rootdirectory: $dir/store}
		  delete: {enabled: true}
		http: {addr: "127.0.0.1:0"}
	END
	OTEL_TRACES_EXPORTER=none "$peer_program" serve "$peer_config" >"$dir/log" 2>&1 &
	peer_pid=$!
	pids+=("$peer_pid")
	for _ in $(seq 100); do
		# shellcheck disable=SC2034 # for the script that sources this
		if registry=$(grep -om1 'listening on 127[0-9.:]*' "$dir/log" | cut -d' ' -f3 | grep .); then return; fi
		sleep 0.1
	done
	cat "$dir/log" >&2
	fail "$1 does not start"
}

# peer_run COMMAND FLAGS…: runs a command of it with the configuration of "peer".
peer_run() {
	local command=$1
	shift
	OTEL_TRACES_EXPORTER=none "$peer_program" "$command" "$@" "$peer_config"
}

peer_stop() {
	kill "$peer_pid"
	wait "$peer_pid" || true # it says 1, or that a signal ended it
}

# crane_registry: starts it, and sets $registry.
crane_registry() {
	crane registry serve --address 127.0.0.1:0 >"$work/crane.log" 2>&1 &
	pids+=("$!")
	for _ in $(seq 100); do
		# shellcheck disable=SC2034 # for the script that sources this
		if registry=127.0.0.1:$(grep -om1 'serving on port [0-9]*' "$work/crane.log" | grep -o '[0-9]*$'); then return; fi
		sleep 0.1
	done
	fail "crane's registry does not start"
}
