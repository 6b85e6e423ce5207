#!/usr/bin/env bash
# Writes docs/api.md from the tables of endpoints and errors. With --check it only
# says whether the file is what they make.
. "$(dirname "$0")/lib.sh"

cd "$project"
{
	cat <<-'TEXT'
	# The API

	This page is made from the tables that the server routes by and writes its errors
	from: `scripts/docs.sh` writes it, and CI sees that it is up to date.

	`shibafu registry serve` answers all of it. A method that an endpoint has not
	answers 405 with `Allow`, a path that is none of these 404; both as JSON, like
	every error:

	```json
	{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}
	```

	## Endpoints

	TEXT
	go run ./step1-spec-notes endpoints --markdown
	cat <<-'TEXT'

	- A name may hold slashes, and even the words of the API: paths are read from
	  their right end.
	- `Location` is relative unless a public URL is set. A session is used at the URL
	  that the registry gave, with `digest` added to its query.
	- Lists take `n` (up to 10,000; referrers up to 1,000) and `last`, a cursor that
	  need not exist. `Link: <…>; rel="next"` leads to the next page.
	- Manifests have their digest as `ETag`. `If-None-Match` and `If-Match` work on GET
	  and HEAD, and on PUT, where they ask what the tag refers to before it moves:
	  `If-None-Match: *` creates a tag and never moves one.
	- `Range` works on blobs: one range or several, each part as it was asked for.

	## Errors

	TEXT
	go run ./step1-spec-notes errors --markdown
	cat <<-'TEXT'

	An error may come with a narrower status than the one of its code: `UNSUPPORTED`
	with 404 (no such endpoint), 412 (a condition does not hold), 414, 415 and 416;
	`MANIFEST_INVALID` and `SIZE_INVALID` with 413; `BLOB_UPLOAD_INVALID` with 408 and
	416. What is wrong in particular is in `detail`. A 5xx has an `X-Request-Id`, under
	which the log has the cause.
	TEXT
} >"$work/api.md"

if [ "${1:-}" = --check ]; then
	diff -u docs/api.md "$work/api.md" || fail "docs/api.md is stale: run scripts/docs.sh"
else
	cp "$work/api.md" docs/api.md
fi
