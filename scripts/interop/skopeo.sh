# shellcheck shell=bash disable=SC2154 # variables of lib.sh and common.sh

part_skopeo() {
	debian skopeo skopeo
	check "skopeo copies between repositories" skopeo_copy
	check "skopeo copies to a folder and back" skopeo_dir
	check "skopeo copies to an OCI layout and back" skopeo_layout
	check "skopeo copies all of an index" skopeo_index
	check "skopeo inspects, lists tags and deletes" skopeo_delete
}

# copy FLAGS… FROM TO
copy() { skopeo copy -q --src-tls-verify=false --dest-tls-verify=false "$@"; }

skopeo_copy() {
	copy "docker://$registry/team/two:v1" "docker://$registry/sk/two:v1"
	same "digest" "$(served sk/two v1)" "$(served team/two v1)"
	copy "docker://$registry/team/two@$(served team/two v1)" "docker://$registry/sk/two:v2"
	same "digest" "$(served sk/two v2)" "$(served team/two v1)"
}

skopeo_dir() {
	copy --preserve-digests "docker://$registry/team/one:v1" dir:folder
	same "digest of the file" "sha256:$(sha256sum <folder/manifest.json | cut -d' ' -f1)" "$(served team/one v1)"
	for blob in folder/*; do
		[[ ${blob##*/} =~ ^[0-9a-f]{64}$ ]] || continue
		same "blob" "$(sha256sum <"$blob" | cut -d' ' -f1)" "${blob##*/}"
	done
	copy --preserve-digests dir:folder "docker://$registry/sk/one:dir"
	same "digest" "$(served sk/one dir)" "$(served team/one v1)"
}

skopeo_layout() {
	copy "docker://$registry/team/two:v1" oci:layout:two
	copy --preserve-digests --digestfile digest oci:layout:two "docker://$registry/sk/two:oci"
	same "digest in the layout" "$(jq -r '.manifests[0].digest' layout/index.json)" "$(cat digest)"
	same "digest" "$(served sk/two oci)" "$(cat digest)"
	copy --preserve-digests "docker://$registry/sk/two:oci" oci:second:two
	same "layout" "$(cd layout/blobs/sha256 && echo ./*)" "$(cd second/blobs/sha256 && echo ./*)"
}

skopeo_index() {
	copy --all --preserve-digests "docker://$registry/team/multi:latest" "docker://$registry/sk/multi:v1"
	same "digest" "$(served sk/multi v1)" "$(served team/multi latest)"
	copy --all "docker://$registry/team/multi:latest" oci:index:many
	copy --all --preserve-digests --digestfile digest oci:index:many "docker://$registry/sk/multi:oci"
	same "digest" "$(served sk/multi oci)" "$(cat digest)"
	for child in $(manifest sk/multi oci | jq -r '.manifests[].digest'); do
		same "child" "$(served sk/multi "$child")" "$child"
	done
}

skopeo_delete() {
	local digest
	digest=$(served sk/two v1)
	same "digest" "$(skopeo inspect --tls-verify=false "docker://$registry/sk/two:v1" | jq -r .Digest)" "$digest"
	same "tags" "$(skopeo list-tags --tls-verify=false "docker://$registry/sk/two" | jq -r '.Tags | join(" ")')" "oci v1 v2"
	# skopeo deletes the manifest, and so every tag of it.
	skopeo delete --tls-verify=false "docker://$registry/sk/two:v1"
	same "tags" "$(skopeo list-tags --tls-verify=false "docker://$registry/sk/two" | jq -r '.Tags | join(" ")')" oci
	fails skopeo inspect --tls-verify=false "docker://$registry/sk/two@$digest"
	same "the source" "$(served team/two v1)" "$digest"
}
