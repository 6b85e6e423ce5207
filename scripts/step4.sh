#!/usr/bin/env bash
# Walks through the upload API of step 4 with curl, as its README does.
. "$(dirname "$0")/walk.sh"

begin step4-upload --root "$work/store"
cd "$work"
head -c 100000 /dev/urandom >layer
head -c 60000 layer >one
tail -c +60001 layer >two
layer=$(digest layer)
uploads=/v2/team/app/blobs/uploads/
blob=/v2/team/app/blobs/$layer

# start: opens a session and sets $session, its path.
start() {
	request POST "$base$uploads"
	want 202 Range 0-0
	session=$(header Location)
	[[ $session =~ ^${uploads}[0-9a-f-]{36}$ ]] || fail "Location is $session"
}

say "in two chunks"
start
request PATCH "$base$session" -H 'Content-Range: 0-59999' --data-binary @one
want 202 Range 0-59999 Location "$session"
request GET "$base$session"
want 204 Range 0-59999 Location "$session"
request PATCH "$base$session" -H 'Content-Range: 0-59999' --data-binary @one
want 416 Range 0-59999 Location "$session"
error BLOB_UPLOAD_INVALID
request PATCH "$base$session" -H 'Content-Range: 70000-99999' --data-binary @two
want 400 Range 0-59999
error SIZE_INVALID
request PATCH "$base$session" -H 'Content-Range: 60000-99999' --data-binary @two
want 202 Range 0-99999
request HEAD "$base$blob"
want 404
request PUT "$base$session?digest=$layer"
want 201 Location "$blob" Docker-Content-Digest "$layer"

say "it is there"
request HEAD "$base$blob"
want 200 Content-Length 100000 Docker-Content-Digest "$layer"
request GET "$base$blob"
want 200
cmp body layer
request GET "$base$session"
want 404
error BLOB_UPLOAD_UNKNOWN

say "streamed, and in one request"
start
request PATCH "$base$session" -T - <layer
want 202 Range 0-99999
request PUT "$base$session?digest=$layer"
want 201
start
request PUT "$base$session?digest=$layer" -H 'Content-Type: application/octet-stream' --data-binary @layer
want 201 Location "$blob"
request POST "$base$uploads?digest=$(digest one)" --data-binary @one
want 201 Location "/v2/team/app/blobs/$(digest one)"

say "mounted"
request POST "$base/v2/team/copy/blobs/uploads/?mount=$layer&from=team/app"
want 201 Location "/v2/team/copy/blobs/$layer"
request POST "$base/v2/team/copy/blobs/uploads/?mount=$(digest two)&from=team/app"
want 202 Range 0-0
request PUT "$base$(header Location)?digest=$(digest two)" --data-binary @two
want 201

say "cancelled, or with another digest"
start
request PATCH "$base$session" --data-binary @one
want 202
request DELETE "$base$session"
want 204
request PATCH "$base$session" --data-binary @two
want 404
error BLOB_UPLOAD_UNKNOWN
start
request PUT "$base$session?digest=$(digest two)" --data-binary @one
want 400
error DIGEST_INVALID
request GET "$base$session"
want 404

say "resumed after a restart"
start
request PATCH "$base$session" -H 'Content-Range: 0-59999' --data-binary @one
want 202
stop
begin step4-upload --root "$work/store"
request GET "$base$session"
want 204 Range 0-59999
request PUT "$base$session?digest=$layer" -H 'Content-Range: 60000-99999' --data-binary @two
want 201
request GET "$base$blob"
want 200
cmp body layer

say "nothing is left over, and nothing is damaged"
same "left over" "$(find store/uploads -mindepth 1 -not -path '*/.*')" ""
stop
program step2-cas
same "verify" "$(./step2-cas --root store verify)" "3 checked, 0 damaged"
