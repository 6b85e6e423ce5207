#!/usr/bin/env bash
# Measures shibafu beside docker-registry, distribution v3 and crane's registry, on
# loopback, with fresh folders, in one run, and holds it against its bars.
# bench.sh [-only manifest,blob,pull,push,images,tag,tags,catalog,start] [-scale 0.1]
. "$(dirname "$0")/lib.sh"

debian docker-registry docker-registry
debian strace strace
gotool crane github.com/google/go-containerregistry/cmd/crane@v0.22.1
gotool registry github.com/distribution/distribution/v3/cmd/registry@v3.1.2
build
(cd "$project/scripts" && go build -o "$work/bench" ./bench)

say "shibafu and others on $(nproc) cores, store on $(stat -fc %T "$work")"
"$work/bench" -tools "$tools" -shibafu "$work/shibafu" -work "$work" "$@"
