#!/usr/bin/env bash
# Runs the official conformance program of the OCI distribution specification with
# every option switched on, for the released version and for the draft. Nothing
# may fail, and nothing may be skipped.
. "$(dirname "$0")/lib.sh"

gotool conformance github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111
build

for version in 1.1 dev; do
	rm -rf "$work/store"
	serve --missing allow
	say "conformance, version $version"
	mkdir -p "$work/results"
	status=0
	env OCI_REGISTRY="$registry" OCI_TLS=disabled OCI_VERSION="$version" \
		OCI_API_BLOBS_UPLOAD_CANCEL=true OCI_API_MANIFESTS_TAG_PARAM=true \
		OCI_API_BLOBS_DIGEST_HEADER=true OCI_API_MANIFESTS_DIGEST_HEADER=true \
		OCI_DATA_SPARSE=true OCI_RESULTS_DIR="$work/results" \
		conformance >"$work/conformance.log" 2>&1 || status=$?
	if [ "$status" != 0 ] || grep -E '^ +(Skip|Disabled|FAIL|Error)\.*: +[1-9]|: +(Disabled|Skip|FAIL|Error|Unsupported)$' "$work/conformance.log"; then
		cat "$work/conformance.log"
		fail "conformance $version"
	fi
	grep -E '^ +(Pass|Total)\.' "$work/conformance.log"
	stop
done
