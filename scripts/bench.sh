#!/usr/bin/env bash
# Measures shibafu beside other registries, clients and runners of containers, on
# loopback, with fresh folders, in one run, and holds it against its bars.
# bench.sh [-only manifest,blob,pull,push,images,tag,tags,catalog,start,client,run] [-scale 0.1]
#
# As root it makes a new ext4 file system for the stores, in a file: what a file system
# costs depends on what was done to it before. Some of ext4's scans inodes that were
# deleted in the last minutes, so that whoever comes second is slower.
. "$(dirname "$0")/lib.sh"

cleanup() {
	mountpoint -q "$work/disk" && umount -l "$work/disk"
	[ -z "${loop-}" ] || losetup -d "$loop"
}

debian docker-registry docker-registry
debian strace strace
debian dockerd docker.io
debian skopeo skopeo
debian runc runc
debian podman podman
debian busybox busybox-static
gotool crane github.com/google/go-containerregistry/cmd/crane@v0.22.1
gotool oras oras.land/oras/cmd/oras@v1.3.6
gotool registry github.com/distribution/distribution/v3/cmd/registry@v3.1.2
build
(cd "$project/scripts" && go build -o "$work/bench" ./bench)

mkdir "$work/disk"
if [ "$(id -u)" = 0 ]; then
	debian mkfs.ext4 e2fsprogs
	truncate -s 40G "$work/disk.img"
	mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$work/disk.img"
	loop=$(losetup --find --show --direct-io=on "$work/disk.img")
	mount "$loop" "$work/disk"
fi
say "shibafu and others on $(nproc) cores, store on $(stat -fc %T "$work/disk")"
"$work/bench" -tools "$tools" -shibafu "$work/shibafu" -work "$work/disk" "$@"
