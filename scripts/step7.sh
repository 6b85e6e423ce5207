#!/usr/bin/env bash
# Walks through the registry of step 7: users and a token by hand with curl, jq and
# openssl; pushes that are allowed and denied, with crane and skopeo; what is private; a
# right that is taken away; passwords that are guessed; TLS.
. "$(dirname "$0")/walk.sh"

debian jq jq
debian openssl openssl
debian skopeo skopeo
gotool crane github.com/google/go-containerregistry/cmd/crane@v0.22.1
program step7-security
cd "$work"

user() { echo "$2" | ./step7-security --root store user "$1"; }
rule() { printf '{"subjects": ["user:%s"], "repositories": ["%s"], "actions": [%s]}' "$@"; }
rules() { printf '{"rules": [%s, %s%s]}\n' "$(rule alice 'team/**' '"pull", "push", "delete"')" "$(rule bob 'bob/**' '"pull", "push"')" "${1:+, $1}" >rules.json; }
# soon COMMAND…: it succeeds within the time after which files are read again.
soon() {
	for _ in $(seq 100); do
		if "$@"; then return; fi
		sleep 0.1
	done
	fail "not after ten seconds: $*"
}

user alice correct-horse
user bob battery-staple
rules "$(rule bob team/app '"pull"')"
begin step7-security --root store --policy rules.json
host=${base#http://}
app=$base/v2/team/app

say "how to get in"
request GET "$app/manifests/v1"
want 401 WWW-Authenticate "Bearer realm=\"$base/token\",service=\"shibafu\",scope=\"repository:team/app:pull\""
error UNAUTHORIZED

say "a token, taken apart"
# token USER:PASSWORD SCOPE
token() { curl -fsS --noproxy '*' -u "$1" "$base/token?service=shibafu&scope=$2" | jq -r .token; }
# part N: that of the token on stdin. base64 misses the padding, and says so.
part() { cut -d. -f"$1" | tr -- '-_' '+/' | base64 -d 2>/dev/null || true; }
alice=$(token alice:correct-horse repository:team/app:pull,push)
bob=$(token bob:battery-staple repository:team/app:pull,push)
same "owner" "$(part 2 <<<"$alice" | jq -r .sub)" alice
same "what Alice may" "$(part 2 <<<"$alice" | jq -c '.access[0].actions')" '["pull","push"]'
same "what Bob may" "$(part 2 <<<"$bob" | jq -c '.access[0].actions')" '["pull"]'
part 3 <<<"$alice" >signature
printf %s "${alice%.*}" >signed
openssl pkeyutl -verify -rawin -inkey store/shibafu/keys/*.pem -sigfile signature -in signed >openssl.out ||
	fail "openssl says: $(cat openssl.out)"

say "allowed and denied"
printf '{}' >config
request POST "$app/blobs/uploads/?digest=$(digest config)" -H "Authorization: Bearer $alice" --data-binary @config
want 201
request POST "$app/blobs/uploads/" -H "Authorization: Bearer $bob"
want 403
error DENIED
request DELETE "$app/blobs/$(digest config)" -H "Authorization: Bearer $alice"
want 401 # the token is not for that, though Alice may
request DELETE "$app/blobs/$(digest config)" -u alice:correct-horse
want 202

say "crane"
head -c 100000 /dev/urandom >layer
tar czf layer.tar.gz layer
# as USER COMMAND…: crane and skopeo with the credentials of somebody.
as() { DOCKER_CONFIG=$work/home/$1 REGISTRY_AUTH_FILE=$work/home/$1/config.json "${@:2}"; }
mkdir -p home/alice home/bob
as alice crane auth login "$host" -u alice -p correct-horse 2>crane.out
as bob crane auth login "$host" -u bob -p battery-staple 2>crane.out
if as bob crane auth login "$host" -u bob -p wrong 2>crane.out && as bob crane digest "$host/team/app:v1" 2>crane.out; then
	fail "crane logs in with a wrong password"
fi
as bob crane auth login "$host" -u bob -p battery-staple 2>crane.out
as alice crane append --oci-empty-base -f layer.tar.gz -t "$host/team/app:v1" >crane.out 2>&1
pushed=$(as alice crane digest "$host/team/app:v1")
same "digest for Bob" "$(as bob crane digest "$host/team/app:v1")" "$pushed"
if as bob crane append --oci-empty-base -f layer.tar.gz -t "$host/team/app:v2" >crane.out 2>&1; then fail "Bob pushes with crane"; fi
grep -q DENIED crane.out || fail "crane was not denied: $(cat crane.out)"

say "skopeo"
as alice skopeo login --tls-verify=false -u alice -p correct-horse "$host" >skopeo.out
as bob skopeo login --tls-verify=false -u bob -p battery-staple "$host" >skopeo.out
if skopeo login --authfile home/none --tls-verify=false -u bob -p wrong "$host" >skopeo.out 2>&1; then fail "skopeo logs in with a wrong password"; fi
as alice skopeo copy -q --src-tls-verify=false --dest-tls-verify=false "docker://$host/team/app:v1" "docker://$host/team/copy:v1"
as bob skopeo copy -q --src-tls-verify=false "docker://$host/team/app:v1" oci:pulled:v1
as bob skopeo copy -q --dest-tls-verify=false oci:pulled:v1 "docker://$host/bob/app:v1"
if as bob skopeo copy -q --dest-tls-verify=false oci:pulled:v1 "docker://$host/team/app:v2" >skopeo.out 2>&1; then fail "Bob pushes with skopeo"; fi
grep -q denied skopeo.out || fail "skopeo was not denied: $(cat skopeo.out)"

say "what is private looks like what is not there"
for name in team/copy team/none; do
	request GET "$base/v2/$name/tags/list" -u bob:battery-staple
	want 403
	cp body "body.${name#*/}"
done
cmp body.copy body.none
request POST "$base/v2/bob/app/blobs/uploads/?mount=$(digest config)&from=team/copy" -u bob:battery-staple
want 202

say "a right that is taken away, from who holds a token"
request GET "$app/manifests/v1" -H "Authorization: Bearer $bob"
want 200
rules
denied() { request GET "$app/manifests/v1" -H "Authorization: Bearer $bob" && [ "$code" = 403 ]; }
soon denied
user alice new-horse
void() { request GET "$app/tags/list" -H "Authorization: Bearer $alice" && [ "$code" = 401 ]; }
soon void

say "guesses at once"
seq 30 | xargs -P 30 -I{} curl -sS --noproxy '*' -o /dev/null -w '%{http_code}\n' -u "bob:guess{}" "$base/v2/" | sort -u | tr '\n' ' ' >guesses
same "answers" "$(cat guesses)" "401 429 "

say "figures, and a log without secrets"
request GET "$base/metrics"
want 200
grep -q 'shibafu_http_requests_total{endpoint="push manifest",method="PUT",status="201"}' body || fail "figures: $(cat body)"
grep -q 'identity=bob.*endpoint="start upload"' server.log || fail "log: $(cat server.log)"
if grep -e correct-horse -e battery-staple -e new-horse -e "$alice" server.log; then fail "secrets are in the log"; fi
stop

say "TLS, and tokens that survive a restart"
./step7-security --addr 127.0.0.1:0 --root store --policy rules.json --tls >server.log 2>&1 &
server=$!
pids+=("$server")
secure() { base=$(grep -o 'https://127[0-9.:]*' server.log); }
soon secure
host=${base#https://}
request GET "$base/v2/" --cacert store/shibafu/tls/ca.pem -H "Authorization: Bearer $bob"
want 200
if curl -sS --noproxy '*' "$base/v2/" 2>curl.out; then fail "the authority is trusted by who was not told to"; fi
mkdir certs
cp store/shibafu/tls/ca.pem certs/ca.crt
skopeo login --authfile home/tls.json --cert-dir certs -u alice -p new-horse "$host" >skopeo.out
skopeo copy -q --authfile home/tls.json --dest-cert-dir certs oci:pulled:v1 "docker://$host/team/tls:v1"
DOCKER_CONFIG=$work/home/alice SSL_CERT_FILE=$work/certs/ca.crt crane auth login "$host" -u alice -p new-horse 2>crane.out
same "crane, by TLS" "$(SSL_CERT_FILE=$work/certs/ca.crt as alice crane digest "$host/team/tls:v1")" "$pushed"
stop
