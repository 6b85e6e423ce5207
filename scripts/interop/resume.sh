# shellcheck shell=bash disable=SC2154 # variables of lib.sh and common.sh
# Clients whose connection is cut in the middle of a blob go on where it was.

part_resume() {
	gotool regctl github.com/regclient/regclient/cmd/regctl@v0.11.7
	check "docker goes on with a pull that was cut" resume_docker
	check "regctl goes on with a blob that was cut" resume_regctl
	check "curl goes on with a blob that was cut" resume_curl
}

# resumed: the path of a blob of which a client has asked for the rest. It was cut behind
# 1 MiB, of which the last bytes may be lost with the connection.
resumed() {
	cat "$work/cutter.log"
	grep -E '^GET /v2/[a-z/]*/blobs/sha256:[0-9a-f]* 206 range="bytes=10[0-9]{5}-' "$work/cutter.log"
}

resume_docker() {
	mkdir -p large
	head -c 3000000 /dev/urandom >large/noise
	tar c -C large . | docker import - "$registry/team/large:v1"
	docker push "$registry/team/large:v1"
	docker rmi "$registry/team/large:v1"
	proxy
	docker pull "$cutter/team/large:v1" | tee pull
	grep "Digest: $(served team/large v1)" pull
	resumed
}

resume_regctl() {
	local layer
	proxy
	export REGCTL_CONFIG=$work/resume.json
	regctl registry set --tls disabled "$cutter"
	layer=$(manifest team/large v1 | jq -r '.layers[0].digest')
	same "blob" "sha256:$(regctl blob get "$cutter/team/large" "$layer" | sha256sum | cut -d' ' -f1)" "$layer"
	resumed
}

resume_curl() {
	local layer
	proxy
	layer=$(manifest team/large v1 | jq -r '.layers[0].digest')
	fails curl -fsS -o rest "http://$cutter/v2/team/large/blobs/$layer"
	curl -fsS -C - -o rest "http://$cutter/v2/team/large/blobs/$layer"
	same "blob" "sha256:$(sha256sum <rest | cut -d' ' -f1)" "$layer"
	resumed
}
