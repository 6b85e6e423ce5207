# shellcheck shell=bash disable=SC2154 # variables of lib.sh and common.sh
# A Docker engine with its own store of images. What it pushes here the other parts
# build on: team/one:v1, team/two:v1 (which has a layer more), team/multi:latest.

part_docker() {
	engine
	rootfs "$work/rootfs"
	check "docker pushes" docker_push
	check "docker pushes again, and sends nothing" docker_push_again
	check "docker pushes to another repository, and mounts the layer" docker_mount
	check "docker pulls what it has removed, by tag and by digest" docker_pull
	check "docker pushes a second image, and shares the layer" docker_shared
	check "docker runs what it has pulled" docker_run
	check "docker pushes a manifest list" docker_manifest
	check "docker is told what is not there" docker_missing
}

# pushed LOG: the digest that "docker push" has printed.
pushed() { sed -n 's/.*: digest: \(sha256:[0-9a-f]*\) size: .*/\1/p' "$1"; }

docker_push() {
	tar c -C "$work/rootfs" . | docker import --change 'CMD ["echo","hello"]' - "$registry/team/one:v1"
	docker push "$registry/team/one:v1" | tee push
	same "pushed digest" "$(served team/one v1)" "$(pushed push)"
	same "digest the engine keeps" "$(docker image inspect -f '{{index .RepoDigests 0}}' "$registry/team/one:v1")" \
		"$registry/team/one@$(pushed push)"
}

docker_push_again() {
	docker push "$registry/team/one:v1" | tee again
	grep 'Layer already exists' again
	same "digest" "$(pushed again)" "$(pushed push)"
}

docker_mount() {
	docker tag "$registry/team/one:v1" "$registry/team/mounted:v1"
	docker push "$registry/team/mounted:v1" | tee mount
	grep 'Mounted from team/one' mount
	same "digest" "$(served team/mounted v1)" "$(pushed push)"
}

docker_pull() {
	local id digest
	id=$(docker image inspect -f '{{.Id}}' "$registry/team/one:v1")
	digest=$(served team/one v1)
	docker rmi "$registry/team/one:v1" "$registry/team/mounted:v1"
	same "images left" "$(docker images -q)" ""
	docker pull "$registry/team/one:v1" | tee pull
	grep "Digest: $digest" pull
	same "image ID" "$(docker image inspect -f '{{.Id}}' "$registry/team/one:v1")" "$id"
	docker rmi "$registry/team/one:v1"
	docker pull "$registry/team/one@$digest"
	same "image ID" "$(docker image inspect -f '{{.Id}}' "$registry/team/one@$digest")" "$id"
	docker pull "$registry/team/one:v1"
}

docker_shared() {
	local container
	container=$(docker create "$registry/team/one:v1")
	echo "a second layer" >note
	docker cp note "$container:/note"
	docker commit -c 'CMD ["cat","/note"]' "$container" "$registry/team/two:v1"
	docker rm "$container"
	docker push "$registry/team/two:v1" | tee shared
	grep -E 'Mounted from team/(one|mounted)' shared
	same "layers sent" "$(grep -c ': Pushed$' shared)" 1
	same "digest" "$(served team/two v1)" "$(pushed shared)"
	docker rmi "$registry/team/two:v1"
	docker pull "$registry/team/two:v1"
}

docker_run() {
	# Where the engine cannot run anything at all, that is not the registry's fault.
	if ! tar c -C "$work/rootfs" . | docker import - probe || ! docker run --rm --network none probe echo; then
		echo "this engine cannot run containers"
		return
	fi
	same "output" "$(docker run --rm --network none "$registry/team/one:v1")" hello
	same "output" "$(docker run --rm --network none "$registry/team/two:v1")" "a second layer"
	docker rmi probe
}

docker_manifest() {
	local list
	for arch in amd64 arm64; do
		mkdir -p "arch/$arch"
		echo "$arch" >"arch/$arch/arch"
		tar c -C "arch/$arch" . | docker import - "$registry/team/multi:$arch"
		docker push -q "$registry/team/multi:$arch"
	done
	list=$registry/team/multi:latest
	docker manifest create --insecure "$list" "$registry/team/multi:amd64" "$registry/team/multi:arm64"
	docker manifest annotate --arch arm64 "$list" "$registry/team/multi:arm64"
	docker manifest push --insecure --purge "$list" | tee list
	same "digest" "$(served team/multi latest)" "$(tail -1 list)"
	same "platforms" "$(manifest team/multi latest | jq -r '[.manifests[].platform.architecture] | sort | join(" ")')" "amd64 arm64"
	for arch in amd64 arm64; do
		same "manifest for $arch" "$(served team/multi "$arch")" \
			"$(manifest team/multi latest | jq -r ".manifests[] | select(.platform.architecture == \"$arch\") | .digest")"
	done
	docker rmi "$registry/team/multi:amd64"
	docker pull --platform linux/amd64 "$list"
	same "media type" "$(docker manifest inspect --insecure "$list" | jq -r .mediaType)" \
		application/vnd.docker.distribution.manifest.list.v2+json
}

docker_missing() {
	fails docker pull "$registry/team/one:absent" 2>missing
	grep -i 'manifest unknown\|not found' missing
	fails docker pull "$registry/team/absent" 2>missing
	grep -i 'unknown\|not found\|does not exist' missing
}
