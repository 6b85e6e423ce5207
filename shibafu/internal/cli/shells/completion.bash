# Completion of shibafu for bash: the program itself says what may stand where.
_shibafu() {
	local line=${COMP_LINE:0:COMP_POINT} words cur before='' kind lines reply
	read -ra words <<<"$line"
	if [[ -z $line || $line == *[[:space:]] ]]; then words+=(''); fi
	cur=${words[-1]}
	# To bash the word begins behind these.
	if [[ $COMP_WORDBREAKS == *:* ]]; then before=${cur%"${cur##*:}"}; fi
	if [[ $COMP_WORDBREAKS == *=* && ${#cur} -gt 0 ]]; then
		reply=${cur%"${cur##*=}"}
		if ((${#reply} > ${#before})); then before=$reply; fi
	fi
	COMPREPLY=()
	mapfile -t lines < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
	kind=${lines[0]-}
	for reply in "${lines[@]:1}"; do
		reply=${reply%%$'\t'*}
		COMPREPLY+=("${reply#"$before"}")
		if [[ $reply == *[:=,] ]]; then compopt -o nospace; fi
	done
	case $kind in
	:files) compopt -o filenames; mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "${cur#"$before"}") ;;
	:folders) compopt -o filenames; mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "${cur#"$before"}") ;;
	esac
}
complete -F _shibafu shibafu
