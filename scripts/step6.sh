#!/usr/bin/env bash
# Walks through what the client of step 6 does: images of skopeo and crane, in shibafu,
# docker-registry and crane's registry, are pulled, pushed and copied between them, a
# folder and a file; and on every way they stay what they were.
. "$(dirname "$0")/walk.sh"
. "$(dirname "$0")/interop/peer.sh"

debian skopeo skopeo
debian docker-registry docker-registry
debian jq jq
gotool crane github.com/google/go-containerregistry/cmd/crane@v0.22.1
build
program step6-client
cd "$work"
export XDG_DATA_HOME=$work/home DOCKER_CONFIG=$work/home
images=$work/home/shibafu/images

# client ARGUMENTS...: runs it; for those that copy, it prints the digest of what was
# copied.
client() { "$work/step6-client" "$@" 2>"$work/progress" | sed 's/.* //' || { cat "$work/progress" >&2 && return 1; }; }
sk() { skopeo copy -q --all --src-tls-verify=false --dest-tls-verify=false --preserve-digests "$@"; }

# copied: how many blobs and manifests the client copied last.
copied() { grep -c 'copied$' "$work/progress" || true; }

crane_registry
cranes=$registry
peer peer "$(command -v docker-registry)"
theirs=$registry
serve --log-level info
ours=$registry

say "images to begin with: an index for two platforms, and one of Docker's types"
for n in base amd64 arm64; do
	head -c 3000000 /dev/urandom >"$n"
	tar czf "$n.tar.gz" "$n"
done
crane append --oci-empty-base -f base.tar.gz -t "$ours/base:v1" >crane.out 2>&1
for platform in amd64 arm64; do
	crane append -b "$ours/base:v1" -f $platform.tar.gz -t "$ours/one:$platform" >crane.out 2>&1
	crane mutate "$ours/one:$platform" --set-platform linux/$platform -t "$ours/one:$platform" >crane.out 2>&1
done
crane index append -m "$ours/one:amd64" -m "$ours/one:arm64" -t "$ours/crane:v1" >crane.out 2>&1
# skopeo leaves out of an index what it does not know, so it gets to write this one.
skopeo copy -q --all --src-tls-verify=false "docker://$ours/crane:v1" oci:begin:one
client copy oci:begin:one "$ours/one:v1" >/dev/null
crane append -f base.tar.gz -t "$ours/docker:v1" >crane.out 2>&1
index=$(crane digest "$ours/one:v1") amd64=$(crane digest "$ours/one:amd64") docker=$(crane digest "$ours/docker:v1")

say "from registry to registry, in a circle"
for image in "one $index" "docker $docker"; do
	read -r name digest <<<"$image"
	from=$ours
	for to in "$theirs" "$cranes" "$ours"; do
		same "$from/$name to $to" "$(client copy "$from/$name:v1" "$to/circle/$name:v1")" "$digest"
		same "digest of $to/circle/$name" "$(crane digest "$to/circle/$name:v1")" "$digest"
		crane validate --remote "$to/circle/$name:v1" >crane.out 2>&1 || { cat crane.out && fail "$to/circle/$name is not whole"; }
		from=$to
		[ "$to" = "$ours" ] || client copy "$to/circle/$name:v1" "$to/$name:v1" >/dev/null
	done
done

say "a second time nothing is copied, and within a registry no blob is"
for host in "$ours" "$theirs" "$cranes"; do
	client copy "$host/circle/one:v1" "$host/circle/one:v1" >/dev/null
	same "copied again" "$(copied)" 0
done
client copy "$theirs/circle/one:v1" "$theirs/mounted/one:v1" >/dev/null
same "copied within docker-registry: the manifests" "$(copied)" 3
client copy "$ours/circle/one:v1" "$ours/mounted/one:v1" >/dev/null
same "copied within shibafu: the manifests" "$(copied)" 3

say "tags and digests"
same "tags" "$(client tags "$ours/one" | tr '\n' ' ')" "amd64 arm64 v1 "
same "digest" "$(client digest "$theirs/circle/one:v1")" "$index"
same "digest for a platform" "$(client digest "$theirs/circle/one:v1" --platform linux/amd64)" "$amd64"

say "into the store, and out of it"
same "pull" "$(client pull "$theirs/circle/one:v1" --platform all)" "$index"
sk "oci:$images:$theirs/circle/one:v1" "docker://$ours/skopeo/one:v1"
same "skopeo reads the store" "$(crane digest "$ours/skopeo/one:v1")" "$index"
sk "docker://$ours/one:v1" "oci:$images:$cranes/pushed/one:v1"
same "skopeo writes to the store, and it is pushed" "$(client push "$cranes/pushed/one:v1")" "$index"
crane validate --remote "$cranes/pushed/one:v1" >crane.out 2>&1
same "pull for a platform" "$(client pull "$ours/one:v1" --platform linux/amd64)" "$amd64"
same "names" "$(jq -r '.manifests[].annotations["org.opencontainers.image.ref.name"]' "$images/index.json" | sort | wc -l)" 3

say "a folder of skopeo, a folder for skopeo"
sk "docker://$ours/one:v1" oci:theirs:one
same "from its folder" "$(client copy oci:theirs:one "$ours/folder/one:v1")" "$index"
same "into a folder" "$(client copy "$ours/one:v1" oci:ours:one)" "$index"
sk oci:ours:one "docker://$theirs/folder/one:v1"
same "skopeo reads the folder" "$(crane digest "$theirs/folder/one:v1")" "$index"

say "files of docker save"
same "into a file" "$(client copy "$ours/one:amd64" "docker-archive:app.tar:$ours/one:amd64")" "$amd64"
same "and back" "$(client copy docker-archive:app.tar "$ours/file/one:v1")" "$amd64"
sk oci-archive:app.tar "docker://$ours/file/skopeo:v1"
same "skopeo reads it as a layout" "$(crane digest "$ours/file/skopeo:v1")" "$amd64"
skopeo copy -q --dest-tls-verify=false "docker-archive:app.tar" "docker://$ours/file/docker:v1"
same "and as Docker's: the config" "$(crane config "$ours/file/docker:v1")" "$(crane config "$ours/one:amd64")"
crane push app.tar "$ours/file/crane:v1" >crane.out 2>&1
same "crane as well" "$(crane config "$ours/file/crane:v1")" "$(crane config "$ours/one:amd64")"
crane pull "$ours/docker:v1" crane.tar
skopeo copy -q --src-tls-verify=false "docker://$ours/one:amd64" docker-archive:skopeo.tar:team/app:v1
for file in crane skopeo; do
	client copy docker-archive:$file.tar "$ours/file/of-$file:v1" >/dev/null
	# crane takes each layer for a compressed one, and those of skopeo's file are not.
	skopeo copy -q --src-tls-verify=false "docker://$ours/file/of-$file:v1" "dir:of-$file"
done
same "config through skopeo's file" "$(crane config "$ours/file/of-skopeo:v1")" "$(crane config "$ours/one:amd64")"
gzip -k skopeo.tar
client copy docker-archive:- "$ours/file/stdin:v1" <skopeo.tar.gz >/dev/null
same "from a pipe, compressed" "$(crane digest "$ours/file/stdin:v1")" "$(crane digest "$ours/file/of-skopeo:v1")"

say "what refers to an image comes along"
echo 'a list of parts' >sbom
tar czf sbom.tar.gz sbom
tag=$(tr : - <<<"$amd64").sig
crane append --oci-empty-base -f sbom.tar.gz -t "$ours/one:$tag" >crane.out 2>&1
client copy "$ours/one:v1" "$theirs/signed/one:v1" --referrers >/dev/null
same "signature" "$(crane digest "$theirs/signed/one:$tag")" "$(crane digest "$ours/one:$tag")"

say "what is not there is said with a code of its own"
status=0
"$work/step6-client" pull "$ours/one:none" 2>/dev/null || status=$?
same "exit code" "$status" 3
"$work/shibafu" registry fsck --root "$work/store" >fsck.out 2>&1 || { cat fsck.out && fail "the store is not whole"; }
