#!/usr/bin/env bash
# Walks through the program of step 1, as its README does.
. "$(dirname "$0")/walk.sh"

program step1-spec-notes
cd "$project/step1-spec-notes"

# says CODE PATTERN... -- ARGUMENTS...: runs the program, which must end with that
# exit code and print a line for each pattern.
says() {
	local want=$1 patterns=() got=0
	shift
	while [ "$1" != -- ]; do
		patterns+=("$1")
		shift
	done
	shift
	"$work/step1-spec-notes" "$@" >"$work/out" 2>&1 || got=$?
	same "exit code of $*" "$got" "$want"
	for pattern in "${patterns[@]}"; do
		grep -qE -- "$pattern" "$work/out" || fail "$* does not print '$pattern': $(cat "$work/out")"
	done
}

say "endpoints and errors"
says 0 end-2 end-5 end-14 _catalog -- endpoints
says 0 "BLOB_UNKNOWN +404" "TOOMANYREQUESTS +429" -- errors

say "check"
digest=$(digest testdata/config.json)
says 0 '^valid digest' -- check digest "$digest"
says 1 'not lower case hex' -- check digest "sha256:$(tr a-f A-F <<<"${digest#*:}")"
says 1 'invalid digest' -- check digest "${digest%?}"
says 0 '^valid name' -- check name library/alpine
says 1 . -- check name Library/alpine
says 0 '^valid tag' -- check tag 3.20
says 1 . -- check tag .20
says 0 '^host +localhost:5000$' '^name +library/alpine$' '^tag +3.20$' -- check ref localhost:5000/library/alpine:3.20
says 0 "^digest +$digest$" -- check ref "alpine@$digest"

say "request"
says 0 'start upload' '202 Accepted' end-4a -- request "POST /v2/app/blobs/uploads/"
says 0 'end-11' '201 Created' -- request "POST /v2/app/blobs/uploads/?mount=$digest&from=base"
says 0 'push manifest' '201 Created' -- request "PUT /v2/a/b/manifests/x"
says 0 '^name +tags/list$' -- request "GET /v2/tags/list/tags/list"
says 1 '400 Bad Request, NAME_INVALID' -- request "PUT /v2/alpine/../secret/manifests/1"
says 1 '400 Bad Request, DIGEST_INVALID' -- request "GET /v2/a/blobs/sha256:..%2f..%2fetc%2fpasswd"

say "explain"
for document in manifest index config; do
	says 0 "$(digest "testdata/$document.json")" '^Nothing is wrong in it\.$' -- explain "testdata/$document.json"
done
says 0 'Nothing is wrong' -- explain - <testdata/manifest.json
says 1 '^Wrong:$' 'both manifests and layers' -- explain - <<<'{"schemaVersion":2,"manifests":[],"layers":[]}'

say "nonsense"
says 2 . -- nonsense
