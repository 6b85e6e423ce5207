#!/usr/bin/env bash
# Walks through the registry of step 5 with curl, as its README does: an image is
# pushed and tagged, listed, signed, pulled and deleted.
. "$(dirname "$0")/walk.sh"

begin step5-manifest --root "$work/store"
cd "$work"
app=/v2/team/app
image=application/vnd.oci.image.manifest.v1+json
index=application/vnd.oci.image.index.v1+json

# blob FILE: pushes it, and checks that it is there.
blob() {
	request POST "$base$app/blobs/uploads/"
	want 202
	request PUT "$base$(header Location)?digest=$(digest "$1")" --data-binary "@$1"
	want 201 Location "$app/blobs/$(digest "$1")"
}

# descriptor TYPE FILE
descriptor() { printf '{"mediaType": "%s", "digest": "%s", "size": %d}' "$1" "$(digest "$2")" "$(stat -c %s "$2")"; }

# put REFERENCE FILE TYPE FLAGS...: pushes a manifest, byte by byte.
put() { request PUT "$base$app/manifests/$1" -H "Content-Type: $3" --data-binary "@$2" "${@:4}"; }

# listed PATH WANT: wants a list to be that.
listed() {
	request GET "$base$1"
	want 200
	same "$1" "$(cat body)" "$2"
}

say "config and layer"
printf '{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}\n' >config
echo 'hello' >layer
cat >manifest.json <<END
{
  "schemaVersion": 2,
  "mediaType": "$image",
  "config": $(descriptor application/vnd.oci.image.config.v1+json config),
  "layers": [
    $(descriptor application/vnd.oci.image.layer.v1.tar layer)
  ]
}
END
sum=$(digest manifest.json)
put v1 manifest.json "$image"
want 400
error MANIFEST_BLOB_UNKNOWN
blob config
blob layer

say "the manifest, by tag"
put v1 manifest.json "$image"
want 201 Location "$app/manifests/$sum" Docker-Content-Digest "$sum"
for reference in v1 "$sum"; do
	request GET "$base$app/manifests/$reference"
	want 200 Content-Type "$image" Docker-Content-Digest "$sum" ETag "\"$sum\""
	cmp body manifest.json
	request HEAD "$base$app/manifests/$reference"
	want 200 Content-Length "$(stat -c %s manifest.json)" Docker-Content-Digest "$sum"
done

say "curl --data strips line ends, so it pushes another manifest"
tr -d '\n' <manifest.json >stripped.json
request PUT "$base$app/manifests/stripped" -H "Content-Type: $image" --data @manifest.json
want 201 Docker-Content-Digest "$(digest stripped.json)"
[ "$(digest stripped.json)" != "$sum" ] || fail "nothing was stripped"
request PUT "$base$app/manifests/$sum" -H "Content-Type: $image" --data @manifest.json
want 400
error DIGEST_INVALID

say "tags and repositories"
put "$sum?tag=v1.0&tag=latest" manifest.json "$image"
want 201 Docker-Content-Digest "$sum"
listed "$app/tags/list" '{"name":"team/app","tags":["latest","stripped","v1","v1.0"]}'
listed "$app/tags/list?n=2" '{"name":"team/app","tags":["latest","stripped"]}'
same "Link" "$(header Link)" "<$app/tags/list?last=stripped&n=2>; rel=\"next\""
listed "$app/tags/list?last=stripped&n=2" '{"name":"team/app","tags":["v1","v1.0"]}'
same "Link" "$(header Link)" ""
listed /v2/_catalog '{"repositories":["team/app"]}'
request GET "$base/v2/team/none/tags/list"
want 404
error NAME_UNKNOWN

say "an index"
printf '{"schemaVersion": 2, "mediaType": "%s", "manifests": [%s]}' "$index" "$(descriptor "$image" manifest.json)" >index.json
put multi index.json "$index"
want 201 Docker-Content-Digest "$(digest index.json)"

say "a signature, which refers to the image"
echo 'signed' >signature
blob signature
printf '{}' >empty
blob empty
cat >signature.json <<END
{
  "schemaVersion": 2,
  "mediaType": "$image",
  "artifactType": "application/vnd.example.signature",
  "config": $(descriptor application/vnd.oci.empty.v1+json empty),
  "layers": [$(descriptor text/plain signature)],
  "subject": $(descriptor "$image" manifest.json)
}
END
put "$(digest signature.json)" signature.json "$image"
want 201 OCI-Subject "$sum"
request GET "$base$app/referrers/$sum"
want 200 Content-Type "$index"
grep -qF "\"digest\":\"$(digest signature.json)\"" body || fail "referrers: $(cat body)"
request GET "$base$app/referrers/$sum?artifactType=application/vnd.example.sbom"
want 200 OCI-Filters-Applied artifactType
grep -qF '"manifests":[]' body || fail "referrers of another type: $(cat body)"

say "a tag that must not move"
put v1 stripped.json "$image" -H 'If-None-Match: *'
want 412
put v1 stripped.json "$image" -H "If-Match: \"$sum\""
want 201
put v1 manifest.json "$image"
want 201

say "after a restart"
stop
begin step5-manifest --root "$work/store"
request GET "$base$app/manifests/v1"
want 200 Docker-Content-Digest "$sum"
cmp body manifest.json
request GET "$base$app/referrers/$sum"
grep -qF "\"digest\":\"$(digest signature.json)\"" body || fail "referrers: $(cat body)"

say "deleted"
request DELETE "$base$app/manifests/latest"
want 202
request GET "$base$app/manifests/latest"
want 404
error MANIFEST_UNKNOWN
request DELETE "$base$app/manifests/$sum"
want 202
listed "$app/tags/list" '{"name":"team/app","tags":["multi","stripped"]}'
request DELETE "$base$app/manifests/$sum"
want 404
request DELETE "$base$app/blobs/$(digest signature)"
want 202
request GET "$base$app/blobs/$(digest signature)"
want 404
error BLOB_UNKNOWN

say "where it lies"
links=store/repositories/team/app/_manifests
same "tags" "$(ls $links/tags)" "$(printf 'multi\nstripped')"
same "the link of a tag" "$(cat $links/tags/multi/current/link)" "$(digest index.json)"
same "history of v1" "$(find $links/history/v1 -type f | wc -l)" 4
