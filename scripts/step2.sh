#!/usr/bin/env bash
# Walks through the store of step 2 from the command line, as its README does.
. "$(dirname "$0")/walk.sh"

program step2-cas
cd "$work"
export SHIBAFU_CAS_ROOT=$work/store

# shown WANT COMMAND...: runs it, which must succeed and print that.
shown() { same "${*:2}" "$("${@:2}")" "$1"; }
# refused CODE COMMAND...: runs it, which must end with that exit code.
refused() {
	local status=0
	"${@:2}" >out 2>err || status=$?
	same "exit code of ${*:2}" "$status" "$1"
}

echo "test content" >hello
hello=sha256:a1fff0ffefb9eace7230c24e50731f0a91c62f9cefdfe77121c2f607125dffae
file=store/blobs/sha256/a1/${hello#*:}/data

say "put, get, stat, ls"
same "put from a pipe" "$(echo "test content" | ./step2-cas put)" "$hello"
shown "$hello" ./step2-cas put hello
shown "test content" ./step2-cas get "$hello"
cmp "$file" hello
./step2-cas stat "$hello" >out
for line in "digest  $hello" "size    13" "file    $work/$file"; do
	grep -qxF "$line" out || fail "stat does not print '$line': $(cat out)"
done
long=$(./step2-cas put --algorithm sha512 hello)
same "sha512" "$long" "sha512:$(sha512sum hello | cut -c 1-128)"
shown "$hello"$'\n'"$long" ./step2-cas ls
shown "2 checked, 0 damaged" ./step2-cas verify

say "damaged, noticed, healed"
chmod u+w "$file"
printf b | dd of="$file" conv=notrunc status=none
refused 1 ./step2-cas get "$hello"
same "get says" "$(cat err)" "step2-cas: $hello is damaged"
refused 1 ./step2-cas verify
same "verify says" "$(cat out)" "$hello is damaged"$'\n'"2 checked, 1 damaged"
shown "$hello" ./step2-cas put hello
shown "2 checked, 0 damaged" ./step2-cas verify

say "two at once"
head -c 3000000 /dev/urandom >large
large=$(digest large)
mkfifo pipe
./step2-cas put pipe >slow &
slow=$!
pids+=("$slow")
exec 3>pipe # the other end is opened by whoever holds the folder
refused 1 ./step2-cas put hello
grep -q "another process writes to this folder.*held by process $slow" err || fail "the lock: $(cat err)"
shown "$hello"$'\n'"$long" ./step2-cas ls
cat large >&3
exec 3>&-
wait "$slow"
same "put of what came slowly" "$(cat slow)" "$large"

say "removed"
shown "" ./step2-cas rm "$large"
refused 1 ./step2-cas get "$large"
refused 1 ./step2-cas rm "$large"
refused 2 ./step2-cas get sha256:short
shown "$hello"$'\n'"$long" ./step2-cas ls
same "left over" "$(find store -type f -not -name .lock | wc -l)" 2
