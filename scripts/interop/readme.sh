# shellcheck shell=bash disable=SC2154 # variables of lib.sh and common.sh
# Runs what the documents show in blocks that begin with "```console interop".
#
# A line that begins with "$ " is a command, lines that begin with "> " or follow a
# backslash go on with it, the others are its output. Commands of a block share a
# shell; each must succeed, and print the lines shown, in their order, perhaps among
# others. In those lines "…" stands for anything, and digests, IDs, times and sizes
# need not be equal. Commands that start the server are passed over: it is running, on
# a free port, which takes the place of 5000 (in a step's README, of its own) in what
# is run and shown. So is "docker pull" of busybox or alpine: the engine has both.

passed_over='^(go run )?\./(shibafu registry serve|step[345]-)|^docker pull (busybox|alpine)'

part_readme() {
	local file count=0
	debian podman podman
	tar c -C "$work/rootfs" . | docker import - busybox >"$work/files/busybox"
	docker tag busybox alpine
	for file in "$project"/README.md "$project"/step*/README.md "$project"/docs/*.md; do
		if ! grep -qs '^```console interop' "$file"; then continue; fi
		check "${file#"$project/"} does what it shows" readme_run "$file"
		count=$((count + $(grep -c '^```console interop' "$file")))
	done
	say "$count console interop blocks"
}

readme_run() {
	local address file
	# shellcheck disable=SC2317 # a block may call it
	podman() { pod "$@"; } # which keeps images in $work
	# Commands are given from the root of the repository; what they write is not kept.
	rm -rf readme
	mkdir readme
	cd readme || return
	for file in "$project"/*; do
		if [ -d "$file" ]; then ln -s "$file" .; else cp "$file" .; fi
	done
	set +x # what matters is printed
	readme_serve "$1"
	# The blocks come one after the other, with a line "---" after each.
	# shellcheck disable=SC2016 # backticks as they stand
	sed -n '/^```console interop/,/^```$/{s/^```$/---/;/^```console/d;p}' "$1" |
		sed "s/\(localhost\|127\.0\.0\.1\):500[0-9]\b/\1:${address#*:}/g" >"$work/blocks"
	local line command='' more=no
	: >"$work/wanted"
	while IFS= read -r line <&8; do
		case $more$line in
		yes*) command+=$'\n'${line#> } ;;
		no\>\ *) command+=$'\n'${line#> } ;;
		no\$\ * | no---)
			readme_command "$command"
			command=${line#\$ }
			command=${command#---}
			;;
		*) echo "$line" >>"$work/wanted" ;;
		esac
		case $more$line in
		yes*\\ | no[\$\>]\ *\\) more=yes ;;
		*) more=no ;;
		esac
	done 8<"$work/blocks"
	quiet_step "$work/readme.log"
}

# readme_serve FILE: starts the server that FILE is about, and sets $address. It ends
# with the check.
readme_serve() {
	local step=${1#"$project/"}
	export TMPDIR=$work/readme XDG_DATA_HOME=$work/readme/home
	rm -rf "$TMPDIR"
	mkdir -p "$TMPDIR"
	: >"$work/readme.log"
	case $step in
	step*/*)
		(cd "$project" && go build -o "$work/step" "./${step%%/*}")
		"$work/step" -addr 127.0.0.1:0 >"$work/readme.log" 2>&1 &
		;;
	*) "$work/shibafu" registry serve --port 0 --root "$TMPDIR/store" >"$work/readme.log" 2>&1 & ;;
	esac
	# shellcheck disable=SC2064 # the process of now
	trap "kill $!" EXIT
	address=$(listening "$work/readme.log")
}

quiet_step() { if grep -v '^\(shibafu: \)\?serving ' "$1"; then fail "the server had something to say"; fi; }

# readme_command COMMAND: runs it here, so that what it sets is there for the next,
# and looks for the lines of $work/wanted in what it prints.
readme_command() {
	local got want
	if [[ $1 && ! $1 =~ $passed_over ]]; then
		printf '$ %s\n' "$1"
		eval "$1" >"$work/got" 2>&1 || fail "$(cat "$work/got")"
		cat "$work/got"
		plain <"$work/got" >"$work/got.plain"
		exec 7<"$work/got.plain"
		plain <"$work/wanted" | while IFS= read -r want; do
			while
				IFS= read -r got <&7 || [ "$got" ] || fail "after \"$1\" there is no line \"$want\""
				# shellcheck disable=SC2053 # it is a pattern
				[[ $got != ${want} ]]
			do :; done
		done
	fi
	: >"$work/wanted"
}

# plain: leaves out what differs from run to run. What is a pattern to bash is put in
# a form that is none, and "…" becomes one.
plain() {
	sed -E -e 's/\r$//' -e 's/sha256:[0-9a-f]{6,64}/DIGEST/g' -e 's/\b[0-9a-f]{12}([0-9a-f]{52})?\b/ID/g' \
		-e 's/^([Dd]ate|[Ll]ast-[Mm]odified): .*/\1: TIME/' -e 's/[0-9.]+ ?[kMG]?B\b/SIZE/g' -e 's/size: [0-9]+/size: N/' \
		-e 's/[][*?\\]/_/g' -e 's/…/*/g' -e '/^ *$/d'
}
