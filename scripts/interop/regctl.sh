# shellcheck shell=bash disable=SC2154 # variables of lib.sh and common.sh

part_regctl() {
	gotool regctl github.com/regclient/regclient/cmd/regctl@v0.11.7
	gotool oras oras.land/oras/cmd/oras@v1.3.6
	export REGCTL_CONFIG=$work/regctl.json
	check "regctl sends a blob in chunks" regctl_chunks
	check "regctl copies images, and deletes a tag alone" regctl_copy
	check "regctl pushes an artifact with a subject" regctl_artifact
	check "regctl and oras carry sha512 end to end" regctl_sha512
}

regctl_chunks() {
	local digest
	proxy
	regctl registry set --tls disabled --blob-chunk 65536 --blob-max 65536 "$registry"
	regctl registry set --tls disabled --blob-chunk 65536 --blob-max 65536 "$cutter"
	head -c 300000 /dev/urandom >noise
	digest=sha256:$(sha256sum <noise | cut -d' ' -f1)
	same "digest" "$(regctl blob put "$cutter/rc/blob" <noise)" "$digest"
	same "chunks" "$(grep -c '^PATCH ' "$work/cutter.log")" 5
	same "blob" "sha256:$(regctl blob get "$registry/rc/blob" "$digest" | sha256sum | cut -d' ' -f1)" "$digest"
}

regctl_copy() {
	regctl image copy "$registry/team/two:v1" "$registry/rc/two:v1"
	same "digest" "$(regctl image digest "$registry/rc/two:v1")" "$(served team/two v1)"
	regctl image copy "$registry/team/multi:latest" "$registry/rc/multi:v1"
	same "digest" "$(served rc/multi v1)" "$(served team/multi latest)"
	regctl image copy "$registry/rc/two:v1" "$registry/rc/two:v2"
	same "tags" "$(regctl tag ls "$registry/rc/two" | xargs)" "v1 v2"
	regctl tag delete "$registry/rc/two:v2"
	same "tags" "$(regctl tag ls "$registry/rc/two" | xargs)" v1
	same "digest" "$(served rc/two v1)" "$(served team/two v1)"
	regctl repo ls "$registry" | grep -x rc/two
}

regctl_artifact() {
	echo "a note" >note
	regctl artifact put --artifact-type application/vnd.example.note --subject "$registry/rc/two:v1" -m text/plain -f note
	regctl artifact list --format '{{range .Descriptors}}{{.ArtifactType}}{{end}}' "$registry/rc/two:v1" | tee listed
	same "listed" "$(cat listed)" application/vnd.example.note
	same "artifact" "$(regctl artifact get --subject "$registry/rc/two:v1")" "a note"
	regctl image copy --referrers "$registry/rc/two:v1" ocidir://regctl-layout:v1
	regctl image copy --referrers ocidir://regctl-layout:v1 "$registry/rc/back:v1"
	same "referrers" "$(referrers rc/back "$(served rc/back v1)")" application/vnd.example.note
	same "tags" "$(tags rc/two) $(tags rc/back)" "v1 v1"
}

regctl_sha512() {
	local digest
	regctl image mod --to-oci --digest-algo sha512 --create "$registry/rc/two:sha512" "$registry/rc/two:v1"
	digest=$(manifest rc/two sha512 | jq -r '.layers[0].digest')
	[[ $digest = sha512:* ]]
	same "blob" "sha512:$(regctl blob get "$registry/rc/two" "$digest" | sha512sum | cut -d' ' -f1)" "$digest"
	digest=$(regctl image digest "$registry/rc/two:sha512")
	[[ $digest = sha512:* ]]
	# A push by tag does not say by which algorithm the client goes; one by digest does.
	oras copy --from-plain-http --to-plain-http "$registry/rc/two@$digest" "$registry/rc/oras"
	same "manifest" "$(manifest rc/oras "$digest")" "$(manifest rc/two sha512)"
	regctl manifest delete "$registry/rc/two@$digest"
	same "tags" "$(tags rc/two)" v1
}
