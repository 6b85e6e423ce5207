# shellcheck shell=bash disable=SC2154 # variables of lib.sh and common.sh
# Programs that take minutes to build: Helm and Cosign, two versions of each.

part_helm() {
	gotool helm3 helm.sh/helm/v3/cmd/helm@v3.22.0
	gotool helm4 helm.sh/helm/v4/cmd/helm@v4.3.1
	export HELM_CACHE_HOME=$work/helm/cache HELM_CONFIG_HOME=$work/helm/config HELM_DATA_HOME=$work/helm/data
	for helm in helm3 helm4; do
		check "$helm pushes charts, and pulls by a range of versions" helm_charts
	done
}

helm_charts() {
	local version
	rm -rf demo
	"$helm" create demo
	for version in 0.1.0 0.2.0 1.0.0 1.1.0+build.5; do
		"$helm" package demo --version "$version"
		"$helm" push --plain-http "demo-$version.tgz" "oci://$registry/$helm" 2>&1 | tee pushed
		# A tag cannot have a plus; Helm writes an underscore.
		same "digest" "$(sed -n 's/^Digest: //p' pushed)" "$(served "$helm/demo" "${version/+/_}")"
	done
	same "tags" "$(tags "$helm/demo")" "0.1.0 0.2.0 1.0.0 1.1.0_build.5"
	same "type" "$(manifest "$helm/demo" 1.0.0 | jq -r .config.mediaType)" application/vnd.cncf.helm.config.v1+json
	mkdir -p "$helm"
	"$helm" pull --plain-http -d "$helm" --version '<1.0.0' "oci://$registry/$helm/demo"
	cmp demo-0.2.0.tgz "$helm/demo-0.2.0.tgz"
	"$helm" pull --plain-http -d "$helm" --version '^1.1' "oci://$registry/$helm/demo"
	cmp demo-1.1.0+build.5.tgz "$helm"/demo-1.1.0*.tgz
	"$helm" template --plain-http --version 1.0.0 "oci://$registry/$helm/demo" | grep 'helm.sh/chart: demo-1.0.0'
}

part_cosign() {
	gotool cosign2 github.com/sigstore/cosign/v2/cmd/cosign@v2.6.5
	gotool cosign3 github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
	gotool crane github.com/google/go-containerregistry/cmd/crane@v0.22.1
	export COSIGN_PASSWORD='' COSIGN_YES=true
	check "cosign2 signs and verifies, in a tag" cosign_sign cosign2 --tlog-upload=false
	check "cosign3 signs and verifies, as a referrer" cosign_sign cosign3 --tlog-upload=false --use-signing-config=false
}

# cosign_sign PROGRAM FLAGS…: all without a network; the key is enough.
cosign_sign() {
	local cosign=$1 image digest
	shift
	local insecure=(--allow-http-registry --allow-insecure-registry)
	crane copy "$registry/team/one:v1" "$registry/signed/$cosign:v1"
	digest=$(served "signed/$cosign" v1)
	image=$registry/signed/$cosign@$digest
	"$cosign" generate-key-pair --output-key-prefix "$cosign"
	fails "$cosign" verify --key "$cosign.pub" --insecure-ignore-tlog "${insecure[@]}" "$image"
	"$cosign" sign --key "$cosign.key" "$@" "${insecure[@]}" -y "$image"
	"$cosign" verify --key "$cosign.pub" --insecure-ignore-tlog "${insecure[@]}" "$image"
	case $cosign in
	cosign2) same "tags" "$(tags "signed/$cosign")" "sha256-${digest#sha256:}.sig v1" ;;
	cosign3)
		same "tags" "$(tags "signed/$cosign")" v1
		referrers "signed/$cosign" "$digest" | grep sigstore
		;;
	esac
	"$cosign" generate-key-pair --output-key-prefix "other-$cosign"
	fails "$cosign" verify --key "other-$cosign.pub" --insecure-ignore-tlog "${insecure[@]}" "$image"
}
