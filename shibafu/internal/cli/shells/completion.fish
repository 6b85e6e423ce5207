# Completion of shibafu for fish: the program itself says what may stand where.
function __shibafu_complete
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    set -l cur (commandline -ct | string collect --allow-empty)
    set -l lines ($program __complete $words "$cur" 2>/dev/null)
    set -l before (string replace -r '[^:=]*$' '' -- "$cur")
    set -l path (string replace -r '.*[:=]' '' -- "$cur")
    switch "$lines[1]"
        case :files
            printf '%s\n' $before(__fish_complete_path "$path")
        case :folders
            printf '%s\n' $before(__fish_complete_directories "$path" '')
    end
    set -e lines[1]
    printf '%s\n' $lines
end
complete -c shibafu -f -a '(__shibafu_complete)'
