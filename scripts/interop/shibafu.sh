# shellcheck shell=bash disable=SC2154 # variables of lib.sh and common.sh
# The client and the runner of shibafu beside those of others, with three registries: an
# image that one has made all others pull, under the same digest, and run. Root runs
# containers with shibafu, and so does nobody, who has one user ID and no more.

part_shibafu() {
	local name
	declare -A registries=([shibafu]=$registry)
	debian podman podman
	debian buildah buildah
	debian skopeo skopeo
	debian docker-registry docker-registry
	debian htpasswd apache2-utils
	debian openssl openssl
	debian zstd zstd
	gotool crane github.com/google/go-containerregistry/cmd/crane@v0.22.1
	gotool oras oras.land/oras/cmd/oras@v1.3.6
	gotool regctl github.com/regclient/regclient/cmd/regctl@v0.11.7
	export REGCTL_CONFIG=$work/regctl.json
	crane_registry
	registries[crane]=$registry
	peer theirs docker-registry
	registries[docker-registry]=$registry
	"$project/scripts/layers.sh" "$work/layers"
	chmod a+x "$work" "$work/shibafu"
	install -d -o 65534 -g 65534 "$work/nobody"

	registry=${registries[shibafu]}
	check "shibafu puts an image together and runs it" shibafu_image
	for name in shibafu docker-registry crane; do
		registry=${registries[$name]}
		check "others pull what shibafu pushes to $name, and run it" shibafu_pushes
		check "shibafu pulls what others push to $name, and runs it" shibafu_pulls
	done
	registry=${registries[shibafu]}
	check "shibafu takes an image out of others' indexes" shibafu_index
	check "shibafu copies signatures and referrers from registry to registry" shibafu_referrers
	check "shibafu writes files for others, and reads theirs" shibafu_files
	check "shibafu runs layers of zstd, or says that it cannot" shibafu_zstd
	locked
	check "shibafu, docker and skopeo log in with the same file, by TLS" shibafu_login
	registry=${registries[shibafu]}
}

# as_root and as_nobody run shibafu, each with a local store of its own; both does so
# for the two of them, and their answers must be WANT.
as_root() { XDG_DATA_HOME=$work/home "$work/shibafu" "$@"; }
as_nobody() {
	(cd / && exec setpriv --reuid 65534 --regid 65534 --clear-groups \
		env XDG_DATA_HOME="$work/nobody" DOCKER_CONFIG="$work/nobody" "$work/shibafu" "$@")
}
both() {
	local want=$1
	shift
	same "root: $*" "$(as_root "$@")" "$want"
	same "nobody: $*" "$(as_nobody "$@")" "$want"
}

# ends CODE COMMAND…: it must end with that exit code. What it says is in "said-wrong".
ends() {
	local want=$1 status=0
	shift
	"$@" >said-wrong 2>&1 || status=$?
	cat said-wrong
	same "exit code of $*" "$status" "$want"
}

run_docker() { docker run --rm --network none "$@"; }
run_podman() { pod run --rm --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 "$@"; }

# can_run PROGRAM: tells whether it can run containers on this machine.
can_run() {
	if [ ! -e "runs-$1" ]; then
		case $1 in
		docker) tar c -C "$work/rootfs" . | docker import - probe ;;
		podman) tar c -C "$work/rootfs" . | pod import - probe ;;
		esac
		if "run_$1" probe echo; then echo yes; else echo no; fi >"runs-$1"
	fi
	grep -q yes "runs-$1" || { echo "$1 cannot run containers here" && return 1; }
}

# assembled REPOSITORY: pushes the image of the two layers there, and prints its digest.
assembled() { as_root push "$1:v1" --layers alpine-base,python-runtime --cmd 'python app.py one two' --quiet "${@:2}"; }

shibafu_image() {
	as_root layer add alpine-base "$work/layers/alpine-base"
	as_root layer add python-runtime "$work/layers/python-runtime"
	assembled "$registry/app/python" >digest
	same "digest" "$(served app/python v1)" "$(cat digest)"
	as_root run --quiet "$registry/app/python:v1" >said
	grep -x 'Python 3.* on Linux' said
	grep -x 'arguments: one two' said
	grep -x 'a file that app.py wrote' said
	both "$(cat said)" run --quiet "$registry/app/python:v1"
}

shibafu_pushes() {
	local image=$registry/app/python digest
	digest=$(cat digest)
	same "pushed" "$(assembled "$image")" "$digest"
	same "pushed again" "$(as_root push --quiet "$image:v1")" "$digest"
	docker pull "$image:v1"
	same "docker's digest" "$(docker image inspect -f '{{index .RepoDigests 0}}' "$image:v1")" "$image@$digest"
	if can_run docker; then same "docker runs it" "$(run_docker "$image:v1")" "$(cat said)"; fi
	pod pull --tls-verify=false "$image:v1"
	same "podman's digest" "$(pod image inspect -f '{{.Digest}}' "$image:v1")" "$digest"
	if can_run podman; then same "podman runs it" "$(run_podman "$image:v1")" "$(cat said)"; fi
	rm -rf layout-python
	copy --preserve-digests "docker://$image:v1" oci:layout-python:v1
	same "skopeo's digest" "$(jq -r '.manifests[0].digest' layout-python/index.json)" "$digest"
	same "crane's digest" "$(crane digest "$image:v1")" "$digest"
	crane validate --remote "$image:v1"
	same "oras's digest" "$(oras resolve --plain-http "$image:v1")" "$digest"
	regctl registry set --tls disabled "$registry"
	same "regctl's digest" "$(regctl image digest "$image:v1")" "$digest"
	both "$digest" pull --quiet "$image:v1"
}

# shibafu_pulls goes on with what shibafu_pushes has left to the others.
shibafu_pulls() {
	local image=$registry/app/python client
	docker tag "$image:v1" "$registry/by/docker:v1"
	docker push "$registry/by/docker:v1"
	pod push --tls-verify=false --format v2s2 "$image:v1" "docker://$registry/by/podman:v1"
	copy oci:layout-python:v1 "docker://$registry/by/skopeo:v1"
	crane pull "$image:v1" python.tar
	crane push python.tar "$registry/by/crane:v1"
	oras copy --from-oci-layout --to-plain-http layout-python:v1 "$registry/by/oras:v1"
	regctl image copy ocidir://layout-python:v1 "$registry/by/regctl:v1"
	mkdir -p by-buildah
	printf '%s\n' "FROM $image:v1" 'RUN python app.py >/built && rm /app.py /tmp/written && ln /built /app.py' \
		'RUN rm -r /var && mkdir /var && touch /var/new' 'CMD ["cat", "/app.py"]' >by-buildah/Dockerfile
	build_ah bud -q --isolation chroot --tls-verify=false -t by-buildah by-buildah
	build_ah push --tls-verify=false by-buildah "docker://$registry/by/buildah:v1"
	for client in docker podman skopeo crane oras regctl; do
		both "$(served "by/$client" v1)" pull --quiet "$registry/by/$client:v1"
		both "$(cat said)" run --pull never "$registry/by/$client:v1"
	done
	# What upper layers take away and replace.
	both "$(sed 's/^arguments.*/arguments:/' said)" run --quiet "$registry/by/buildah:v1"
	both 2 run --quiet "$registry/by/buildah:v1" stat -c %h /built
	both new run --quiet "$registry/by/buildah:v1" ls /var
	docker rmi "$image:v1" "$registry/by/docker:v1"
	pod rmi "$image:v1"
}

shibafu_index() {
	local index want name copied
	crane mutate "$registry/app/python:v1" --set-platform linux/arm64 -t "$registry/multi/arm:v1"
	crane index append -m "$registry/app/python:v1" -m "$registry/multi/arm:v1" -t "$registry/multi/crane:v1"
	regctl index create "$registry/multi/regctl:v1" --ref "$registry/app/python:v1" --ref "$registry/multi/arm:v1"
	for index in "$registry/multi/crane:v1" "$registry/multi/regctl:v1"; do
		both "$(cat digest)" pull --quiet "$index"
		both "$(cat said)" run "$index"
		both "$(served multi/arm v1)" pull --quiet --platform linux/arm64 "$index"
		both "$(crane digest "$index")" pull --quiet --all-platforms "$index"
		ends 3 as_root pull --platform linux/s390x "$index"
		want=$(crane digest "$index")
		for name in docker-registry crane; do
			copied=${registries[$name]}/multi/${index##*/}
			same "copied to $name" "$(as_root copy --quiet "$index" "$copied")" "$want"
			same "digest" "$(crane digest "$copied")" "$want"
			crane validate --remote "$copied"
			docker pull "$copied" | tee pull
			grep "Digest: $want" pull
			docker rmi "$copied"
		done
	done
}

shibafu_referrers() {
	local digest tag sbom from to
	digest=$(cat digest) tag=sha256-$(sed s/sha256:// digest)
	crane copy "$registry/app/python:v1" "$registry/signed/app:v1"
	echo '{}' >sbom.json
	oras attach --plain-http --artifact-type "$type.sbom" "$registry/signed/app:v1" sbom.json:application/json
	sbom=$(oras discover --plain-http --format json "$registry/signed/app:v1" | jq -r '.referrers[0].digest')
	oras attach --plain-http --artifact-type "$type.signature" --annotation by=me "$registry/signed/app@$sbom"
	# As Cosign 2 keeps a signature.
	crane append --oci-empty-base -f <(tar cz sbom.json) -t "$registry/signed/app:$tag.sig"
	from=$registry/signed/app
	for to in "${registries[docker-registry]}/signed/app" "${registries[crane]}/signed/app" "$registry/back/app"; do
		same "copied" "$(as_root copy --quiet --referrers "$from:v1" "$to:v1")" "$digest"
		same "signature" "$(crane digest "$to:$tag.sig")" "$(crane digest "$registry/signed/app:$tag.sig")"
		same "referrers" "$(discovered "$to:v1")" "$type.sbom"
		same "referrers of a referrer" "$(discovered "$to@$sbom")" "$type.signature"
		from=$to
	done
	as_root copy --quiet --referrers "$from:v1" oci:signed-layout:v1
	same "through a folder" "$(as_root copy --quiet --referrers oci:signed-layout:v1 "$registry/folder/app:v1")" "$digest"
	same "referrers" "$(discovered "$registry/folder/app:v1")" "$type.sbom"
}

# discovered REFERENCE: the artifact types of what refers to it, for oras.
discovered() { oras discover --plain-http --depth 1 --format json "$1" | jq -r '[.referrers[].artifactType] | sort | join(" ")'; }

shibafu_files() {
	local image=$registry/files/app:v1 digest
	digest=$(cat digest)
	as_root copy --quiet "$registry/app/python:v1" "docker-archive:ours.tar:$image"
	docker load -i ours.tar
	if can_run docker; then same "docker runs what it loads" "$(run_docker "$image")" "$(cat said)"; fi
	docker save -o dockers.tar "$image"
	pod load -i ours.tar
	pod save -q --format docker-archive -o podmans.tar "$image"
	pod save -q --format oci-archive -o oci.tar "$image"
	same "shibafu reads its own" "$(as_root copy --quiet docker-archive:ours.tar "$registry/files/ours:v1")" "$digest"
	for name in dockers podmans oci; do
		as_root copy --quiet "docker-archive:$name.tar" "$registry/files/$name:v1"
		both "$(cat said)" run --quiet "$registry/files/$name:v1"
	done
	same "ID of what docker saved" "$(manifest files/dockers v1 | jq -r .config.digest)" "$(docker image inspect -f '{{.Id}}' "$image")"
	docker save "$image" | as_root copy --quiet docker-archive:- "$registry/files/pipe:v1"
	same "through a pipe" "$(served files/pipe v1)" "$(served files/dockers v1)"
	same "skopeo's folder" "$(as_root copy --quiet oci:layout-python:v1 "$registry/files/layout:v1")" "$digest"
	as_root copy --quiet "$registry/app/python:v1" oci:ours-layout:v1
	copy --preserve-digests oci:ours-layout:v1 "docker://$registry/files/skopeo:v1"
	same "a folder for skopeo" "$(served files/skopeo v1)" "$digest"
	docker rmi "$image"
	pod rmi "$image"
}

shibafu_zstd() {
	local image=$registry/zstd/app:v1
	mkdir -p zstd empty
	printf '%s\n' "FROM $registry/app/python:v1" 'RUN echo squeezed >/squeezed' >zstd/Dockerfile
	# One layer, or those that are known in gzip would stay so.
	build_ah bud -q --squash --isolation chroot --tls-verify=false -t squeezed zstd
	build_ah push --tls-verify=false --format oci --compression-format zstd squeezed "docker://$image"
	same "layer" "$(manifest zstd/app v1 | jq -r '.layers[].mediaType')" application/vnd.oci.image.layer.v1.tar+zstd
	both "$(cat said)" run --quiet "$image"
	ends 125 without_zstd run --state fresh "$image"
	grep 'needs the program zstd, which is not in PATH' said-wrong
}

without_zstd() { PATH=$work/files/empty as_root "$@"; }

# locked: starts docker-registry with a password and a certificate of our own authority,
# and sets $registry.
locked() {
	htpasswd -Bbn someone secret >"$work/passwords" 2>"$work/htpasswd.log"
	(
		cd "$work" || exit
		local name key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
		for name in ca another; do openssl req -x509 "${key[@]}" -subj "/CN=$name" -keyout $name.key -out $name.crt; done
		openssl req "${key[@]}" -subj '/CN=a registry' -keyout tls.key -out tls.csr
		openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out tls.crt \
			-extfile <(echo 'subjectAltName=IP:127.0.0.1,DNS:localhost')
	) >"$work/openssl.log" 2>&1
	REGISTRY_AUTH=htpasswd REGISTRY_AUTH_HTPASSWD_REALM=ours REGISTRY_AUTH_HTPASSWD_PATH=$work/passwords \
		REGISTRY_HTTP_TLS_CERTIFICATE=$work/tls.crt REGISTRY_HTTP_TLS_KEY=$work/tls.key \
		peer locked docker-registry
}

shibafu_login() {
	local image=$registry/app/python ca=(--ca "$work/ca.crt") file=$DOCKER_CONFIG/config.json
	ends 1 as_root login --ca "$work/another.crt" --username someone --password-stdin "$registry" <<<secret
	grep -e '--ca FILE' said-wrong
	ends 4 assembled "$image" "${ca[@]}"
	ends 4 as_root login "${ca[@]}" --username someone --password-stdin "$registry" <<<wrong
	fails grep "$registry" "$file"
	as_root login "${ca[@]}" --username someone --password-stdin "$registry" <<<secret
	same "digest" "$(assembled "$image" "${ca[@]}")" "$(cat digest)"
	same "with a digest" "$(as_root pull --quiet "${ca[@]}" "$image@$(cat digest)")" "$(cat digest)"
	docker pull "$image:v1"
	mkdir -p certificates
	cp "$work/ca.crt" certificates/
	skopeo inspect --authfile "$file" --cert-dir certificates "docker://$image:v1" | jq -r .Digest >inspected
	same "skopeo's digest" "$(cat inspected)" "$(cat digest)"
	same "crane's digest" "$(SSL_CERT_FILE=$work/ca.crt crane digest "$image:v1")" "$(cat digest)"
	as_root logout "$registry"
	ends 4 as_root pull "${ca[@]}" "$image:v1"
	fails docker pull "$image:v1"
	docker login -u someone --password-stdin "$registry" <<<secret
	as_root pull "${ca[@]}" "$image:v1"
	docker logout "$registry"
	skopeo login --authfile "$file" --cert-dir certificates -u someone --password-stdin "$registry" <<<secret
	as_root pull "${ca[@]}" "$image:v1"
	as_root logout "$registry"
}
