# shellcheck shell=bash disable=SC2154 # variables of lib.sh and common.sh
# podman and buildah keep what they have in $work/containers.

part_podman() {
	debian podman podman
	check "podman pulls what docker pushed" podman_pull
	check "podman pushes it under another name, and docker pulls that" podman_push
	check "podman pushes an OCI manifest" podman_oci
	check "podman pushes a multi-arch index" podman_index
	check "podman runs what it has pulled" podman_run
}

containers=(--root "$work/containers/root" --runroot "$work/containers/run" --storage-driver vfs)

pod() { command podman "${containers[@]}" --events-backend file --cgroup-manager cgroupfs "$@"; }

podman_pull() {
	pod pull --tls-verify=false "$registry/team/two:v1"
	same "digest" "$(pod image inspect -f '{{.Digest}}' "$registry/team/two:v1")" "$(served team/two v1)"
	same "image ID" "sha256:$(pod image inspect -f '{{.Id}}' "$registry/team/two:v1")" \
		"$(docker image inspect -f '{{.Id}}' "$registry/team/two:v1")"
	pod pull --tls-verify=false "$registry/team/one@$(served team/one v1)"
}

podman_push() {
	pod tag "$registry/team/two:v1" "$registry/pods/two:v1"
	pod push --tls-verify=false --digestfile digest "$registry/pods/two:v1"
	same "digest" "$(served pods/two v1)" "$(cat digest)"
	docker pull "$registry/pods/two:v1" | tee pull
	grep "Digest: $(cat digest)" pull
	same "image ID" "$(docker image inspect -f '{{.Id}}' "$registry/pods/two:v1")" \
		"$(docker image inspect -f '{{.Id}}' "$registry/team/two:v1")"
}

podman_oci() {
	pod push --tls-verify=false --format oci --digestfile digest "$registry/team/two:v1" "docker://$registry/pods/two:oci"
	same "digest" "$(served pods/two oci)" "$(cat digest)"
	same "media type" "$(manifest pods/two oci | jq -r .mediaType)" application/vnd.oci.image.manifest.v1+json
	docker pull "$registry/pods/two:oci" | tee pull
	grep "Digest: $(cat digest)" pull
}

podman_index() {
	pod manifest create many
	pod manifest add --tls-verify=false --all many "docker://$registry/team/multi:latest"
	pod manifest push --tls-verify=false --all --digestfile digest many "docker://$registry/pods/many:v1"
	same "digest" "$(served pods/many v1)" "$(cat digest)"
	same "media type" "$(manifest pods/many v1 | jq -r .mediaType)" application/vnd.oci.image.index.v1+json
	same "children" "$(manifest pods/many v1 | jq -c '[.manifests[].digest] | sort')" \
		"$(manifest team/multi latest | jq -c '[.manifests[].digest] | sort')"
	pod manifest push --tls-verify=false --all --format v2s2 --digestfile digest many "docker://$registry/pods/many:list"
	same "digest" "$(served pods/many list)" "$(cat digest)"
}

podman_run() {
	run=(run --rm --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024)
	tar c -C "$work/rootfs" . | pod import - probe
	if ! pod "${run[@]}" probe echo; then
		echo "podman cannot run containers here"
		return
	fi
	same "output" "$(pod "${run[@]}" "$registry/team/two:v1")" "a second layer"
}

part_buildah() {
	debian buildah buildah
	check "buildah builds an image from a Dockerfile and pushes it with zstd" buildah_zstd
	check "buildah pushes it with gzip, and docker pulls that" buildah_gzip
}

build_ah() { buildah "${containers[@]}" "$@"; }

buildah_zstd() {
	mkdir -p context
	cp "$work/rootfs/bin/busybox" context/
	cat >context/Dockerfile <<-'END'
		FROM scratch
		COPY busybox /bin/echo
		CMD ["/bin/echo", "built"]
	END
	build_ah bud -q --isolation chroot -t built context
	build_ah push --tls-verify=false --format oci --compression-format zstd --digestfile digest built "docker://$registry/built/image:zstd"
	same "digest" "$(served built/image zstd)" "$(cat digest)"
	same "layer" "$(manifest built/image zstd | jq -r '.layers[0].mediaType')" application/vnd.oci.image.layer.v1.tar+zstd
	build_ah pull --tls-verify=false -q "$registry/built/image:zstd"
}

buildah_gzip() {
	# Another image: of a layer that it knows in zstd it would send that.
	sed -i '2a ENV plain=yes' context/Dockerfile
	echo plain >>context/busybox
	build_ah bud -q --isolation chroot -t plain context
	build_ah push --tls-verify=false --format docker --digestfile digest plain "docker://$registry/built/plain:gzip"
	same "digest" "$(served built/plain gzip)" "$(cat digest)"
	docker pull "$registry/built/plain:gzip" | tee pull
	grep "Digest: $(cat digest)" pull
}
