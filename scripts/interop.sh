#!/usr/bin/env bash
# Real clients against the real server: Docker, podman, skopeo, buildah, crane, oras
# and regctl push, pull, copy and delete, and what they read is what was pushed. Then
# shibafu's own client and runner beside them, with other registries too.
# "interop.sh long" adds Helm and Cosign, whose programs take minutes to build.
# "interop.sh skopeo readme" runs some parts alone (Docker's always comes first).

# A Docker engine mounts things, and podman keeps notes in a system folder. A mount
# namespace of its own takes all of it away at the end, whatever happened.
if [ "$(id -u)" != 0 ]; then
	echo "interop.sh: needs root, as a Docker engine does" >&2
	exit 1
fi
if [ -z "${INTEROP_NAMESPACE-}" ]; then
	exec env INTEROP_NAMESPACE=own unshare --mount -- "$BASH" "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interop/common.sh"
for part in peer docker podman skopeo crane oras regctl resume shibafu readme long; do
	# shellcheck source=/dev/null # the parts are checked one by one
	. "$project/scripts/interop/$part.sh"
done

parts=(podman skopeo buildah crane oras regctl resume shibafu readme)
case ${1-} in
long) parts+=(helm cosign) ;;
?*) parts=("$@") ;;
esac

cleanup() { unmount_below "$work"; }

mkdir -p /var/lib/containers/cache "$work/files"
mount -t tmpfs none /var/lib/containers/cache
for program in jq curl; do debian "$program" "$program"; done
build
serve --log-level debug
for part in docker "${parts[@]}"; do
	declare -F "part_$part" >/dev/null || fail "there is no part $part"
	say "$part"
	"part_$part"
done
stop
quiet "$work/server.log"
check "the store is whole" "$work/shibafu" registry fsck --root "$work/store"
say "$checks checks passed"
