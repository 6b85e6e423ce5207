#!/usr/bin/env bash
# What docker-registry has written, shibafu serves in place and adds to; what shibafu
# has written, docker-registry serves; and each says the same of it. The same with
# version 3 of it, which is called distribution.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interop/common.sh"
. "$(dirname "$0")/interop/peer.sh"

# fill: what the peers are given: images that share a layer, an index of them, an
# artifact with a subject (which the peers take for a manifest like any other), a
# repository below another, one whose only tag is gone.
fill() {
	mkdir -p layers
	for layer in base more; do
		head -c 50000 /dev/urandom >layers/$layer
		tar cf $layer.tar -C layers $layer
	done
	crane append --oci-empty-base -f base.tar -t "$registry/lib:v1"
	crane append -b "$registry/lib:v1" -f more.tar -t "$registry/lib/one:v1"
	crane tag "$registry/lib/one:v1" latest
	crane append -f more.tar -t "$registry/lib/docker:v1"
	crane index append -m "$registry/lib/one:v1" -m "$registry/lib/docker:v1" -t "$registry/lib/many:v1"
	crane copy "$registry/lib/docker:v1" "$registry/lib/gone:v1"
	crane delete "$registry/lib/gone@$(served lib/gone v1)"
	artifact lib/one v1 sbom
}

# artifact NAME REFERENCE TYPE: pushes one that has this manifest as its subject.
artifact() {
	local subject empty='{}' config
	config=sha256:$(printf %s "$empty" | sha256sum | cut -d' ' -f1)
	curl -fsS -X POST -D upload -o /dev/null "http://$registry/v2/$1/blobs/uploads/"
	upload "$(sed -n 's/^location: *\([^\r]*\).*/\1/Ip' upload)" "$config" "$empty"
	subject=$(manifest "$1" "$2" | wc -c)
	jq -nc --arg oci "$oci" --arg type "application/vnd.example.$3" --arg config "$config" \
		--arg subject "$(served "$1" "$2")" --argjson size "$subject" '
		{schemaVersion: 2, mediaType: "\($oci).manifest.v1+json", artifactType: $type,
		 config: {mediaType: "application/vnd.oci.empty.v1+json", digest: $config, size: 2},
		 layers: [{mediaType: "application/vnd.oci.empty.v1+json", digest: $config, size: 2}],
		 subject: {mediaType: "\($oci).manifest.v1+json", digest: $subject, size: $size}}' | tr -d '\n' >artifact
	curl -fsS -X PUT -H "Content-Type: $oci.manifest.v1+json" --data-binary @artifact \
		"http://$registry/v2/$1/manifests/sha256:$(sha256sum <artifact | cut -d' ' -f1)"
}

# upload LOCATION DIGEST BYTES: one of shibafu is a path, one of docker-registry a URL
# with a query.
upload() {
	local to=$1
	if [[ $to = /* ]]; then to=http://$registry$to; fi
	if [[ $to = *\?* ]]; then to+='&'; else to+='?'; fi
	curl -fsS -X PUT -H 'Content-Type: application/octet-stream' --data-binary "$3" "${to}digest=$2"
}

# snapshot: all that $registry serves, in lines that can be compared.
snapshot() {
	local name tag
	for name in $(catalog); do
		printf '%s: %s\n' "$name" "$(tags "$name")"
		for tag in $(tags "$name"); do tree "$name" "$tag" "  "; done
	done
}

# tree NAME REFERENCE INDENT: a manifest and, further in, all below it, each read and
# hashed.
tree() {
	local raw digest
	raw=$(manifest "$1" "$2" && echo .) # to keep line ends
	raw=${raw%.}
	printf '%s%s %s %s\n' "$3" "$2" "sha256:$(printf %s "$raw" | sha256sum | cut -d' ' -f1)" "$(jq -r '.mediaType // "no media type"' <<<"$raw")"
	for digest in $(jq -r '.manifests[]?.digest' <<<"$raw"); do tree "$1" "$digest" "$3  "; done
	for digest in $(jq -r '.config.digest // empty, .layers[]?.digest' <<<"$raw"); do
		same "blob" "$(curl -fsS "http://$registry/v2/$1/blobs/$digest" | "${digest%%:*}sum" | cut -d' ' -f1)" "${digest#*:}"
		printf '%s  %s\n' "$3" "$digest"
	done
}

# serves_all: everything the last "snapshot >served" has, and no more.
serves_all() {
	snapshot >now
	diff served now
}

peer_fills() {
	fill
	snapshot >served
	grep 'lib/one: latest v1' served
	grep 'lib/gone: $' served
}

shibafu_reads() {
	serves_all
	same "referrers" "$(referrers lib/one "$(served lib/one v1)")" application/vnd.example.sbom
	same "referrers of another" "$(referrers lib "$(served lib v1)")" ""
	crane validate --remote "$registry/lib/many:v1"
}

shibafu_adds() {
	crane append -b "$registry/lib/one:v1" -f base.tar -t "$registry/ours/new:v1"
	crane copy "$registry/lib/many:v1" "$registry/ours/many:v1"
	crane tag "$registry/lib/one:v1" added
	crane delete "$registry/lib/one:latest"
	crane copy "$registry/lib:v1" "$registry/lib/docker:v1" # moves the tag
	artifact lib/one v1 signature
	regctl registry set --tls disabled "$registry"
	regctl image mod --digest-algo sha512 --create "$registry/ours/long:v1" "$registry/lib/one:v1"
	same "tags" "$(tags lib/one)" "added v1"
	same "referrers" "$(referrers lib/one "$(served lib/one v1)")" "application/vnd.example.sbom application/vnd.example.signature"
	snapshot >served
	grep 'sha512:' served
}

peer_reads() {
	serves_all
	same "tags" "$(tags lib/one)" "added v1"
}

peer_adds() {
	crane append -b "$registry/ours/new:v1" -f more.tar -t "$registry/ours/new:v2"
	crane delete "$registry/ours/many@$(served ours/many v1)"
	artifact ours/new v2 sbom
	snapshot >served
}

# peer_collects: its garbage collector finds that everything is in use but the blob
# that only the tag that was moved had.
peer_collects() {
	peer_run garbage-collect --dry-run | tee garbage
	grep 'blobs marked, 0 blobs and 0 manifests eligible for deletion' garbage
	peer_run garbage-collect
}

fsck() { "$work/shibafu" registry fsck "$@"; }

# mends: what a peer has written since, the index of referrers lacks.
mends() {
	same "the fault" "$(fsck --root "$1" | grep -c 'not in the index of referrers$')" "$2"
	fsck --root "$1" --repair
	fsck --root "$1"
}

both_ways() {
	local name=$1 store=$work/$1/store
	peer "$@"
	check "$name fills a folder" peer_fills
	peer_stop
	serve --root "$store"
	grep -q "data in $store/docker/registry/v2$" "$work/server.log" || fail "shibafu does not find their folder"
	check "shibafu serves it in place, referrers too" shibafu_reads
	check "shibafu adds, moves and deletes" shibafu_adds
	stop
	check "shibafu finds no fault" fsck --root "$store"
	peer "$@"
	check "$name serves the same, and what was added" peer_reads
	check "$name adds" peer_adds
	peer_stop
	check "$name finds nothing to collect" peer_collects
	serve --root "$store"
	check "shibafu serves the same" serves_all
	stop
	check "fsck finds the referrer that $name has not indexed, and mends that" mends "$store" 1
}

# through_a_link NAME PROGRAM beside|inside: shibafu's own folder, which
# docker-registry looks for further down: there it finds a link, in a folder beside
# it or in the folder itself.
through_a_link() {
	local name=$1 store=$work/$1-beside view=$work/$1-view/store
	if [ "$3" = inside ]; then store=$view; fi
	serve --root "$store"
	check "shibafu fills a folder of its own" shibafu_fills
	stop
	mkdir -p "$view/docker/registry"
	case $3 in
	beside) ln -s "$store" "$view/docker/registry/v2" ;;
	inside) ln -s ../.. "$view/docker/registry/v2" ;;
	esac
	peer "$name-view" "$2"
	check "$name serves it through a link $3" peer_reads_view
	check "$name adds there" peer_adds_view
	peer_stop
	check "$name finds nothing to collect there" peer_collects
	serve --root "$store"
	check "shibafu serves the same" serves_all
	stop
	check "shibafu finds no fault" fsck --root "$store"
}

shibafu_fills() {
	fill
	crane tag "$registry/lib/one:v1" deleted
	crane delete "$registry/lib/one:deleted"
	snapshot >served
}

peer_reads_view() {
	serves_all
	same "tags" "$(tags lib/one)" "latest v1"
}

peer_adds_view() {
	crane append -b "$registry/lib/one:v1" -f base.tar -t "$registry/theirs/new:v1"
	snapshot >served
}

for program in jq curl; do debian "$program" "$program"; done
debian docker-registry docker-registry
gotool crane github.com/google/go-containerregistry/cmd/crane@v0.22.1
gotool regctl github.com/regclient/regclient/cmd/regctl@v0.11.7
gotool registry github.com/distribution/distribution/v3/cmd/registry@v3.1.2
build
mkdir -p "$work/files"
export REGCTL_CONFIG=$work/regctl.json
for peer in docker-registry distribution; do
	case $peer in
	docker-registry) program=docker-registry link=beside ;;
	distribution) program=registry link=inside ;;
	esac
	say "$peer: $("$program" --version)"
	both_ways "$peer" "$program"
	through_a_link "$peer" "$program" "$link"
done
say "$checks checks passed"
