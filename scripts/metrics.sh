#!/usr/bin/env bash
# The figures are such as Prometheus wants them, the alerts fire when they should and
# only then, and all that the alerts and the dashboard ask for is there.
. "$(dirname "$0")/walk.sh"

debian promtool prometheus
debian jq jq
debian openssl openssl
monitoring=$project/docs/monitoring

# user NAME: adds a user to the store that is not served yet, whose password is NAME.
user() { printf '%s\n' "$1" | "$work/step7-security" --root "$work/store" user "$1"; }

# metrics FILE: the names of the metrics that a file asks for.
metrics() {
	case $1 in
	*.json) jq -r '.. | .expr? // empty' "$1" ;;
	*.yml) sed -n '/^groups:/,$p' "$1" | sed '/annotations:/,/^$/d' ;;
	esac | sed 's/"[^"]*"//g' | grep -oE '\b(shibafu|process|go)_[a-z0-9_]+' | sort -u
}

build
program step7-security
for name in alice bob; do user $name; done
cat >"$work/store/shibafu/policy.json" <<-'JSON'
	{"rules": [{"subjects": ["user:alice"], "repositories": ["*"], "actions": ["admin"]},
	           {"subjects": ["user:bob"], "repositories": ["**"], "actions": ["pull"]}]}
JSON
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
	-addext subjectAltName=IP:127.0.0.1 -keyout "$work/key.pem" -out "$work/cert.pem" 2>"$work/openssl.log"
serve --tls-cert "$work/cert.pem" --tls-key "$work/key.pem" --admin-addr 127.0.0.1:0 --log-access "$work/access.log"
base=https://$registry
for _ in $(seq 50); do # the second line comes a moment after the first
	figures=$(grep -om1 'http://.*/metrics' "$work/server.log") && break
	sleep 0.1
done

# ask WHO METHOD PATH FLAGS...: as request, with a password; "-" is nobody.
ask() {
	local who=(--cacert "$work/cert.pem")
	if [ "$1" != - ]; then who+=(-u "$1"); fi
	request "$2" "$base$3" "${who[@]}" "${@:4}"
}

say "some of everything"
printf '{}' >"$work/blob"
blob=$(digest "$work/blob")
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"text/plain","config":{"mediaType":"text/plain","digest":"%s","size":2},"layers":[]}' "$blob" >"$work/manifest"
ask - GET /v2/ && want 401
ask alice:alice POST "/v2/a/blobs/uploads/?digest=$blob" --data-binary "@$work/blob" -H 'Content-Type: application/octet-stream' && want 201
ask alice:alice PUT /v2/a/manifests/v1 --data-binary "@$work/manifest" -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' && want 201
for _ in 1 2 3; do ask bob:bob GET /v2/a/manifests/v1 && want 200; done
ask bob:bob GET "/v2/a/blobs/$blob" -r 0-0 && want 206
ask bob:bob GET /v2/a/manifests/none && want 404
ask bob:bob DELETE /v2/a/manifests/v1 && want 403
ask alice:wrong GET /v2/ && want 401
ask alice:alice GET '/token?offline_token=true' && want 200
ask - GET /livez && want 200
ask - GET /readyz && want 200
ask alice:alice GET /metrics && want 200

say "what Prometheus thinks of the figures"
request GET "$figures" && want 200
cp "$work/body" "$work/scrape"
promtool check metrics <"$work/scrape" >"$work/lint" 2>&1 || fail "promtool check metrics: $(cat "$work/lint")"
[ ! -s "$work/lint" ] || fail "promtool check metrics: $(cat "$work/lint")"
for line in 'shibafu_http_requests_total{endpoint="push manifest",method="PUT",status="201"} 1' \
	'shibafu_auth_requests_total{shown="basic",result="credentials"} 1' 'shibafu_auth_requests_total{shown="basic",result="denied"} 0*[1-9]' \
	'shibafu_health_check_successful{check="certificates"} 1' 'shibafu_audit_lost_events_total 0' 'shibafu_upload_sessions 0'; do
	grep -qx "$line" "$work/scrape" || fail "no $line in $(cat "$work/scrape")"
done

say "the alerts"
promtool check rules "$monitoring/alerts.yml" >"$work/rules" || fail "$(cat "$work/rules")"
promtool test rules "$monitoring/alerts_test.yml" >"$work/rules" 2>&1 || fail "$(cat "$work/rules")"

say "what they and the dashboard ask for"
sed -n 's/^# TYPE \([^ ]*\) histogram$/\1_bucket\n\1_sum\n\1_count/p; s/^# TYPE \([^ ]*\) .*/\1/p' "$work/scrape" | sort -u >"$work/there"
for file in alerts.yml dashboard.json; do
	metrics "$monitoring/$file" >"$work/asked"
	[ "$(wc -l <"$work/asked")" -gt 15 ] || fail "$file asks for $(wc -l <"$work/asked") metrics only"
	if ! "$work/shibafu" registry serve --help 2>&1 | grep -q -- --webhooks; then
		sed -i '/^shibafu_webhook_/d' "$work/asked" # there are none to count yet
	fi
	missing=$(comm -23 "$work/asked" "$work/there")
	[ -z "$missing" ] || fail "$file asks for what is not there: $missing"
done

say "no log has a secret or a query"
if grep -hE 'offline_token|Basic |YWxpY2U6' "$work/access.log" "$work/store/shibafu/audit.log" "$work/server.log" "$work/scrape"; then fail "there is one"; fi
same "lines of the audit log" "$(jq -r '.result + " " + .action' "$work/store/shibafu/audit.log" | tr '\n' ',')" \
	"done push blob,done push manifest,refused delete manifest or tag,refused check the API,done log in,"
stop
