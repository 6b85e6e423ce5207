# shellcheck shell=bash disable=SC2154 # variables of lib.sh and common.sh

part_crane() {
	gotool crane github.com/google/go-containerregistry/cmd/crane@v0.22.1
	check "crane copies, mounting the blobs" crane_copy
	check "crane pulls, pushes and validates" crane_pull
	check "crane copies an index through a layout" crane_index
	check "crane appends to an index, and mutates an image" crane_change
	check "crane lists and deletes" crane_delete
}

crane_copy() {
	crane copy "$registry/team/two:v1" "$registry/cr/two:v1" 2>copied
	same "blobs mounted" "$(grep -c 'mounted blob' copied)" 3
	same "digest" "$(crane digest "$registry/cr/two:v1")" "$(served team/two v1)"
	crane validate --remote "$registry/cr/two:v1"
	crane copy "$registry/team/multi:latest" "$registry/cr/multi:v1"
	same "digest" "$(served cr/multi v1)" "$(served team/multi latest)"
}

crane_pull() {
	local layer
	crane pull "$registry/cr/two:v1" two.tar
	crane push two.tar "$registry/cr/pushed:v1"
	crane validate --remote "$registry/cr/pushed:v1"
	same "digest" "$(crane digest "$registry/cr/pushed:v1")" "$(served cr/pushed v1)"
	same "config" "$(crane config "$registry/cr/pushed:v1")" "$(crane config "$registry/cr/two:v1")"
	layer=$(crane manifest "$registry/cr/two:v1" | jq -r '.layers[0].digest')
	same "blob" "sha256:$(crane blob "$registry/cr/two@$layer" | sha256sum | cut -d' ' -f1)" "$layer"
	same "exported file" "$(crane export "$registry/cr/two:v1" - | tar xO note)" "a second layer"
}

crane_index() {
	crane pull --format oci "$registry/team/multi:latest" crane-layout
	crane push --index crane-layout "$registry/cr/multi:oci"
	same "digest" "$(crane digest "$registry/cr/multi:oci")" "$(served cr/multi oci)"
	# The layout's index holds the one that was pulled.
	same "child" "$(manifest cr/multi oci | jq -r '.manifests[].digest')" "$(served team/multi latest)"
}

crane_change() {
	crane index append -m "$registry/cr/two:v1" -m "$registry/team/one:v1" -t "$registry/cr/two:index"
	crane validate --remote "$registry/cr/two:index"
	same "children" "$(manifest cr/two index | jq '.manifests | length')" 2
	crane mutate "$registry/cr/two:v1" --label a=b -t "$registry/cr/two:mutated"
	same "label" "$(crane config "$registry/cr/two:mutated" | jq -r .config.Labels.a)" b
	crane append -b "$registry/cr/two:v1" -f two.tar -t "$registry/cr/two:appended"
	crane flatten "$registry/cr/two:appended" -t "$registry/cr/two:flat"
	crane validate --remote "$registry/cr/two:flat"
	same "layers" "$(manifest cr/two flat | jq '.layers | length')" 1
}

crane_delete() {
	local digest
	crane tag "$registry/cr/two:v1" also
	same "tags" "$(crane ls "$registry/cr/two" | xargs)" "also appended flat index mutated v1"
	crane catalog "$registry" | grep -x cr/two
	same "catalog" "$(crane catalog "$registry" | xargs)" "$(catalog)"
	crane delete "$registry/cr/two:also"
	digest=$(crane digest "$registry/cr/two:mutated")
	crane delete "$registry/cr/two@$digest"
	same "tags" "$(tags cr/two)" "appended flat index v1"
	fails crane digest "$registry/cr/two@$digest"
	same "untouched" "$(crane digest "$registry/cr/two:v1")" "$(served team/two v1)"
}
