#compdef shibafu
# Completion of shibafu for zsh: the program itself says what may stand where.
_shibafu() {
	local -a lines values shown open openshown
	local line kind
	lines=("${(@f)$("${(Q)words[1]}" __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
	kind=$lines[1]
	for line in "${(@)lines[2,-1]}"; do
		if [[ ${line%%$'\t'*} == *[:=,] ]]; then
			open+=("${line%%$'\t'*}")
			openshown+=("${line/$'\t'/  -- }")
		elif [[ -n $line ]]; then
			values+=("${line%%$'\t'*}")
			shown+=("${line/$'\t'/  -- }")
		fi
	done
	(($#values)) && compadd -l -d shown -a values
	(($#open)) && compadd -S '' -l -d openshown -a open
	case $kind in
	:files) compset -P '*[:=]'; _files ;;
	:folders) compset -P '*[:=]'; _files -/ ;;
	esac
}
compdef _shibafu shibafu
