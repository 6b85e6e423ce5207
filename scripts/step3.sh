#!/usr/bin/env bash
# Walks through the pull-only registry of step 3 with curl, as its README does, and
# pulls from it with a real client.
. "$(dirname "$0")/walk.sh"

gotool crane github.com/google/go-containerregistry/cmd/crane@v0.22.1
debian jq jq
begin step3-api
cd "$work"
image=/v2/library/hello
ask=(-H 'Accept: application/vnd.oci.image.manifest.v1+json')

say "the manifest, by tag and by digest"
request GET "$base/v2/"
want 200
same "body of /v2/" "$(cat body)" '{}'
request GET "$base$image/manifests/latest" "${ask[@]}"
want 200 Content-Type application/vnd.oci.image.manifest.v1+json Docker-Content-Digest "$(digest body)"
cp body manifest
request GET "$base$image/manifests/$(digest manifest)" "${ask[@]}"
want 200 Docker-Content-Digest "$(digest manifest)"
cmp body manifest
request HEAD "$base$image/manifests/latest" "${ask[@]}"
want 200 Content-Length "$(stat -c %s manifest)" Docker-Content-Digest "$(digest manifest)"

say "its blobs"
for blob in $(jq -r '.config.digest, .layers[].digest' manifest); do
	request GET "$base$image/blobs/$blob"
	want 200 Docker-Content-Digest "$blob" ETag "\"$blob\"" Accept-Ranges bytes
	same "digest of the blob" "$(digest body)" "$blob"
done
cp body layer
size=$(stat -c %s layer)
url=$base$image/blobs/$blob
request HEAD "$url"
want 200 Content-Length "$size" Content-Type application/octet-stream
gunzip <layer | tar -xO >text
same "hello.txt" "$(cat text)" "Hello from a registry you built yourself."

# ranged RANGE FIRST LAST: asks for a range and wants these bytes.
ranged() {
	request GET "$url" -H "Range: bytes=$1"
	want 206 Content-Range "bytes $2-$3/$size" Content-Length "$(($3 - $2 + 1))"
	cmp body <(tail -c "+$(($2 + 1))" layer | head -c "$(($3 - $2 + 1))")
}

say "ranges"
ranged 0-9 0 9
ranged 10- 10 "$((size - 1))"
ranged -5 "$((size - 5))" "$((size - 1))"
ranged "20-99999999999999999999" 20 "$((size - 1))"
request GET "$url" -H 'Range: bytes=0-1,10-12'
want 206
[[ $(header Content-Type) == "multipart/byteranges; boundary="* ]] || fail "two ranges are $(header Content-Type)"
same "parts" "$(tr -d '\r' <body | grep -a '^Content-Range')" "Content-Range: bytes 0-1/$size"$'\n'"Content-Range: bytes 10-12/$size"
request GET "$url" -H "Range: bytes=$size-"
want 416 Content-Range "bytes */$size"
request GET "$url" -H 'Range: bytes=abc'
want 200 Content-Length "$size"
request GET "$url" -H 'Range: bytes=0-9' -H 'If-Range: "other"'
want 200 Content-Length "$size"

say "conditions"
request GET "$url" -H "If-None-Match: \"$blob\""
want 304
request GET "$base$image/manifests/latest" -H "If-None-Match: \"$(digest manifest)\""
want 304
request GET "$base$image/manifests/latest" -H 'If-None-Match: "other"'
want 200

say "what is not there, and what it cannot do yet"
request GET "$base$image/manifests/absent"
want 404 Content-Type application/json
error MANIFEST_UNKNOWN
request GET "$base$image/blobs/sha256:$(printf '0%.0s' {1..64})"
want 404
error BLOB_UNKNOWN
request GET "$base$image/blobs/sha256:short"
want 400
error DIGEST_INVALID
request GET "$base/v2/Library/manifests/latest"
want 400
error NAME_INVALID
request POST "$base$image/blobs/uploads/"
want 405 Allow ""
error UNSUPPORTED
request PUT "$base$image/manifests/latest" --data-binary @manifest
want 405 Allow "GET, HEAD"
error UNSUPPORTED

say "crane"
name=${base#http://}/library/hello
same "crane digest" "$(crane digest "$name:latest")" "$(digest manifest)"
crane pull "$name:latest" image.tar
crane pull --format oci "$name@$(digest manifest)" layout
cmp "layout/blobs/sha256/${blob#*:}" layer
same "crane export" "$(crane export "$name:latest" - | tar -xO hello.txt)" "$(cat text)"
crane validate --remote "$name:latest" >crane.log 2>&1 || fail "$(cat crane.log)"
stop
