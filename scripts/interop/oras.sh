# shellcheck shell=bash disable=SC2154 # variables of lib.sh and common.sh

part_oras() {
	gotool oras oras.land/oras/cmd/oras@v1.3.6
	check "oras pushes and pulls an artifact" oras_push
	check "oras attaches by the referrers API" oras_attach
	check "oras copies with all referrers" oras_copy
	check "oras copies to a layout and back" oras_layout
	check "oras tags and deletes" oras_delete
}

type=application/vnd.example

oras_push() {
	echo one >one.txt
	echo '{"two": 2}' >two.json
	oras push --plain-http --artifact-type $type.thing "$registry/art/thing:v1" one.txt:text/plain two.json:application/json | tee push
	same "digest" "$(sed -n 's/^Digest: //p' push)" "$(served art/thing v1)"
	oras pull --plain-http -o pulled "$registry/art/thing:v1"
	diff one.txt pulled/one.txt
	diff two.json pulled/two.json
}

oras_attach() {
	local sbom
	echo '{}' >sbom.json
	oras attach --plain-http --artifact-type $type.sbom "$registry/art/thing:v1" sbom.json:application/json
	oras attach --plain-http --artifact-type $type.signature --annotation by=me "$registry/art/thing:v1"
	same "referrers" "$(referrers art/thing "$(served art/thing v1)")" "$type.sbom $type.signature"
	sbom=$(oras discover --plain-http --format json --artifact-type $type.sbom "$registry/art/thing:v1" | jq -r '.referrers[0].digest')
	oras attach --plain-http --artifact-type $type.signature --annotation by=me "$registry/art/thing@$sbom"
	same "referrers of a referrer" "$(referrers art/thing "$sbom")" $type.signature
	# A client that finds no referrers API keeps them under a tag, sha256-….
	same "tags" "$(tags art/thing)" v1
}

oras_copy() {
	oras copy -r --from-plain-http --to-plain-http "$registry/art/thing:v1" "$registry/art/copy:v1"
	same "digest" "$(served art/copy v1)" "$(served art/thing v1)"
	same "tree" "$(tree art/copy)" "$(tree art/thing)"
	same "tags" "$(tags art/copy)" v1
}

# tree NAME: the digests that hang on NAME:v1.
tree() {
	oras discover --plain-http --format json "$registry/$1:v1" | jq -c '[.. | .digest? // empty] | sort'
}

oras_layout() {
	oras copy -r --from-plain-http --to-oci-layout "$registry/art/thing:v1" art-layout:v1
	oras copy -r --from-oci-layout --to-plain-http art-layout:v1 "$registry/art/back:v1"
	same "tree" "$(tree art/back)" "$(tree art/thing)"
	oras copy --from-plain-http --to-plain-http "$registry/team/multi:latest" "$registry/art/multi:v1"
	same "digest" "$(served art/multi v1)" "$(served team/multi latest)"
}

oras_delete() {
	local digest
	digest=$(served art/back v1)
	oras tag --plain-http "$registry/art/back:v1" v2 v3
	same "tags" "$(oras repo tags --plain-http "$registry/art/back" | xargs)" "v1 v2 v3"
	oras repo ls --plain-http "$registry" | grep -x art/back
	oras manifest delete -f --plain-http "$registry/art/back@$digest"
	same "tags" "$(tags art/back)" ""
	same "blob" "$(oras blob fetch --plain-http -o - "$registry/art/thing@sha256:$(sha256sum <one.txt | cut -d' ' -f1)")" one
}
