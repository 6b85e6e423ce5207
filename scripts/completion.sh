#!/usr/bin/env bash
# Completes command lines of shibafu in bash, zsh and fish, with the scripts that it
# prints. It installs zsh and fish where they are not there.
. "$(dirname "$0")/lib.sh"

# What is typed, and what becomes of it when Tab is pressed.
lines=(
	'shibafu comp' 'shibafu completion '
	'shibafu layer a' 'shibafu layer add '
	'shibafu pull --progress pl' 'shibafu pull --progress plain '
	'shibafu pull --progress=pl' 'shibafu pull --progress=plain '
	'shibafu rm localhost:5000/my' 'shibafu rm localhost:5000/myapp:latest '
	'shibafu rm localhost:5000/myapp:' 'shibafu rm localhost:5000/myapp:latest '
	'shibafu push x --layers alp' 'shibafu push x --layers alpine-base '
	'shibafu push x --layers alpine-base,py' 'shibafu push x --layers alpine-base,python-runtime '
	'shibafu copy docker-ar' 'shibafu copy docker-archive:'
	'shibafu copy oci:./fol' 'shibafu copy oci:./folder/'
	'shibafu pull --ca cert' 'shibafu pull --ca certificate.pem '
	'shibafu pull --store ./fol' 'shibafu pull --store ./folder/'
)

prepare() {
	build
	debian zsh zsh
	debian fish fish
	export PATH=$work:$PATH HOME=$work/home XDG_DATA_HOME=$work/home XDG_CONFIG_HOME=$work/home
	mkdir -p "$HOME" "$work/here/folder"
	cd "$work/here"
	echo content >folder/file
	touch certificate.pem
	shibafu layer add alpine-base folder
	shibafu layer add python-runtime folder
	# It is kept here although nobody listens there.
	shibafu push --progress none localhost:5000/myapp --layers alpine-base,python-runtime 2>/dev/null || true
	shibafu images | grep -q '^localhost:5000/myapp:latest ' || fail 'no image was made'
}

# in_bash LINE: bash has no way to press Tab but a terminal, so what it would call is
# called, and what it would do with one answer is done.
in_bash() {
	# shellcheck disable=SC2016 # the inner bash reads it
	LINE=$1 bash --norc -c '
		compopt() { case $2 in nospace) end="" ;; filenames) names=yes ;; esac; }
		source <(shibafu completion bash)
		complete -p shibafu >/dev/null || exit
		end=" " names=no COMP_LINE=$LINE COMP_POINT=${#LINE} _shibafu
		COMP_LINE=$LINE COMP_POINT=${#LINE}
		end=" " names=no
		_shibafu
		((${#COMPREPLY[@]} == 1)) || { printf "%s answers: %s\n" "${#COMPREPLY[@]}" "${COMPREPLY[*]}"; exit; }
		word=${LINE##*[[:space:]:=]}
		if [ $names = yes ] && [ -d "${COMPREPLY[0]}" ]; then end=/; fi
		printf "%s%s\n" "${LINE%"$word"}${COMPREPLY[0]}" "$end"
	'
}

# in_zsh LINE: types it in a terminal, and has a key that tells what became of it.
in_zsh() {
	rm -f "$work/line"
	LINE=$1 TOLD=$work/line zsh -f -c '
		zmodload zsh/zpty
		zpty terminal "TERM=dumb zsh -f -i"
		zpty -w terminal "unsetopt beep; autoload -U compinit; compinit -u -D; source <(shibafu completion zsh); bindkey \"^I\" complete-word"
		zpty -w terminal "tell() { print -r -- \$BUFFER >\$TOLD.new; mv \$TOLD.new \$TOLD; BUFFER=; }; zle -N tell; bindkey \"^X\" tell"
		zpty -w -n terminal "$LINE"$'"'\\t\\x18'"'
		for i in {1..100}; do
			zpty -r -t terminal >/dev/null
			[[ -e $TOLD ]] && break
			sleep 0.1
		done
		zpty -d terminal'
	cat "$work/line"
}

# in_fish LINE: it says itself what it would offer for the last word.
in_fish() {
	local found
	# shellcheck disable=SC2016 # fish reads it
	found=$(LINE=$1 fish --no-config -c 'shibafu completion fish | source; complete -C "$LINE"')
	[ "$(wc -l <<<"$found")" = 1 ] || {
		echo "answers: $found"
		return
	}
	found=${found%%$'\t'*}
	case $found in *[/:=]) ;; *) found+=' ' ;; esac
	printf '%s\n' "${1%"${1##* }"}$found"
}

complete_in() {
	local i
	for ((i = 0; i < ${#lines[@]}; i += 2)); do
		same "$1, '${lines[i]}'" "$("in_$1" "${lines[i]}")" "${lines[i + 1]}"
	done
}

prepare
for shell in bash zsh fish; do
	say "$shell"
	complete_in "$shell"
done
