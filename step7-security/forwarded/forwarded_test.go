package forwarded_test

import (
	"net/netip"
	"strings"
	"testing"

	"shibafu.dev/step7-security/forwarded"
)

func trust(t testing.TB, style forwarded.Style, proxies ...string) forwarded.Trust {
	t.Helper()
	all, err := forwarded.ParseProxies(proxies...)
	if err != nil {
		t.Fatal(err)
	}
	return forwarded.Trust{Proxies: all, Style: style}
}

func TestOrigin(t *testing.T) {
	const x, f = "X-Forwarded-For", "Forwarded"
	type header = map[string][]string
	tests := []struct {
		name   string
		style  forwarded.Style
		remote string
		header header
		want   string
		reason string
	}{
		{"nobody in between", "", "192.0.2.9", header{}, "192.0.2.9 http own:5000", ""},
		{"a peer that is not trusted", "", "192.0.2.9", header{x: {"1.1.1.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil"}}, "192.0.2.9 http own:5000", ""},
		{"the same in Forwarded", forwarded.RFC7239, "192.0.2.9", header{f: {"for=1.1.1.1;proto=https;host=evil"}}, "192.0.2.9 http own:5000", ""},
		{"a proxy", "", "10.0.0.1", header{x: {"192.0.2.9"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"r.example"}}, "192.0.2.9 https r.example", ""},
		{"a proxy over IPv6", "", "::ffff:10.0.0.1", header{x: {"192.0.2.9"}}, "192.0.2.9 http own:5000", ""},
		{"a proxy that adds nothing", "", "10.0.0.1", header{}, "10.0.0.1 http own:5000", ""},
		{"two proxies", "", "10.0.0.1", header{x: {"192.0.2.9, 10.0.0.2"}}, "192.0.2.9 http own:5000", ""},
		{"in two headers", "", "10.0.0.1", header{x: {"192.0.2.9", "10.0.0.2"}}, "192.0.2.9 http own:5000", ""},
		{"an invented client", "", "10.0.0.1", header{x: {"1.1.1.1, 192.0.2.9"}}, "192.0.2.9 http own:5000", "what is left of the client is its own"},
		{"an invented proxy", "", "10.0.0.1", header{x: {"1.1.1.1, 10.0.0.7, 192.0.2.9"}}, "192.0.2.9 http own:5000", ""},
		{"invented junk", "", "10.0.0.1", header{x: {`",,;=\x00, 192.0.2.9`}}, "192.0.2.9 http own:5000", ""},
		{"junk from the proxy", "", "10.0.0.1", header{x: {"1.1.1.1, unknown"}}, "10.0.0.1 http own:5000", "the search ends"},
		{"a port", "", "10.0.0.1", header{x: {"192.0.2.9:4711"}}, "192.0.2.9 http own:5000", ""},
		{"IPv6", "", "10.0.0.1", header{x: {"2001:db8::1"}}, "2001:db8::1 http own:5000", ""},
		{"IPv6 and a port", "", "10.0.0.1", header{x: {"[2001:db8::1]:4711"}}, "2001:db8::1 http own:5000", ""},
		{"all are proxies", "", "10.0.0.1", header{x: {"10.0.0.3, 10.0.0.2"}}, "10.0.0.3 http own:5000", ""},
		{"the last scheme", "", "10.0.0.1", header{x: {"192.0.2.9"}, "X-Forwarded-Proto": {"http, https"}}, "192.0.2.9 https own:5000", ""},
		{"a bad scheme", "", "10.0.0.1", header{x: {"192.0.2.9"}, "X-Forwarded-Proto": {"javascript"}}, "192.0.2.9 http own:5000", ""},
		{"a bad host", "", "10.0.0.1", header{x: {"192.0.2.9"}, "X-Forwarded-Host": {"r.example/../x"}}, "192.0.2.9 http own:5000", ""},
		{"Forwarded where it is not asked for", "", "10.0.0.1", header{x: {"192.0.2.9"}, f: {"for=1.1.1.1;host=evil"}}, "192.0.2.9 http own:5000", "proxies pass on what they do not know"},
		{"X- where it is not asked for", forwarded.RFC7239, "10.0.0.1", header{f: {"for=192.0.2.9"}, x: {"1.1.1.1"}, "X-Forwarded-Host": {"evil"}}, "192.0.2.9 http own:5000", ""},
		{"Forwarded", forwarded.RFC7239, "10.0.0.1", header{f: {`For="[2001:db8::1]:4711";Proto=HTTPS;host="r.example:8443";by=10.0.0.1`}}, "2001:db8::1 https r.example:8443", ""},
		{"Forwarded by two", forwarded.RFC7239, "10.0.0.1", header{f: {"for=192.0.2.9;proto=https;host=r.example, for=10.0.0.2;proto=http;host=inner"}}, "192.0.2.9 https r.example", "the outer proxy knows"},
		{"an invented element", forwarded.RFC7239, "10.0.0.1", header{f: {"for=1.1.1.1;host=evil, for=192.0.2.9;host=r.example"}}, "192.0.2.9 http r.example", ""},
		{"a quote left open", forwarded.RFC7239, "10.0.0.1", header{f: {`for="1.1.1.1, for=192.0.2.9`}}, "192.0.2.9 http own:5000", ""},
		{"a comma in quotes", forwarded.RFC7239, "10.0.0.1", header{f: {`for=192.0.2.9;ext="a, for=1.1.1.1"`}}, "192.0.2.9 http own:5000", ""},
		{"a made-up name", forwarded.RFC7239, "10.0.0.1", header{f: {"for=1.1.1.1, for=_hidden;proto=https"}}, "10.0.0.1 https own:5000", ""},
		{"twice in one element", forwarded.RFC7239, "10.0.0.1", header{f: {"for=192.0.2.9;for=1.1.1.1"}}, "10.0.0.1 http own:5000", ""},
		{"space in an element", forwarded.RFC7239, "10.0.0.1", header{f: {"for=192.0.2.9; proto=https"}}, "10.0.0.1 http own:5000", "strict"},
		{"an end that is open", forwarded.RFC7239, "10.0.0.1", header{f: {"for=192.0.2.9;"}}, "10.0.0.1 http own:5000", ""},
		{"an escape", forwarded.RFC7239, "10.0.0.1", header{f: {`for="192.0.2\.9"`}}, "10.0.0.1 http own:5000", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := trust(t, tt.style, "10.0.0.0/8", "::1").Origin(forwarded.Request{Remote: netip.MustParseAddr(tt.remote), Host: "own:5000", Header: tt.header})
			if got := o.Addr.String() + " " + o.Scheme + " " + o.Host; got != tt.want {
				t.Errorf("got  %s\nwant %s (%s)", got, tt.want, tt.reason)
			}
		})
	}
}

func TestOriginWithoutProxies(t *testing.T) {
	var nobody forwarded.Trust
	o := nobody.Origin(forwarded.Request{TLS: true, Host: "a b"})
	if o != (forwarded.Origin{Scheme: "https"}) {
		t.Errorf("%+v", o)
	}
}

func TestIsHost(t *testing.T) {
	for _, s := range []string{"a", "r.example", "r.example.", "R-1_x.example:5000", "192.0.2.1:1", "[::1]", "[2001:db8::1]:65535"} {
		if !forwarded.IsHost(s) {
			t.Errorf("%q is none", s)
		}
	}
	for _, s := range []string{"", ".", "a..b", ":5000", "a:", "a:0", "a:65536", "a:+1", "a:1:2", "-a", "a-", "a b", "a/b", "a\\b", "a@b", "a?b", "a#b", "a\r\nb", "é", "[::1", "::1", "[127.0.0.1]", "[::1]x", "[fe80::1%eth0]",
		strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a"} {
		if forwarded.IsHost(s) {
			t.Errorf("%q is one", s)
		}
	}
}

func TestParseProxies(t *testing.T) {
	all, err := forwarded.ParseProxies("10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1")
	if err != nil || len(all) != 4 || all[1].String() != "192.0.2.1/32" || all[3].String() != "::1/128" {
		t.Errorf("%v, %v", all, err)
	}
	for _, s := range []string{"", "10.0.0.1/8", "10.0.0.0/33", "proxy.example", "::ffff:10.0.0.0/104", "fe80::1%eth0", "10.0.0.0/8,::1"} {
		if got, err := forwarded.ParseProxies(s); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
}

func FuzzOrigin(f *testing.F) {
	f.Add(`for=192.0.2.9;proto=https;host=r.example`, "for=10.0.0.2")
	f.Add(`"`, `for="[::1]:1", for=1.1.1.1`)
	f.Add("1.1.1.1, 10.0.0.2", "[2001:db8::1]:1")
	f.Fuzz(func(t *testing.T, first, second string) {
		remote := netip.MustParseAddr("10.0.0.1")
		for _, style := range []forwarded.Style{forwarded.XForwarded, forwarded.RFC7239} {
			header := map[string][]string{"X-Forwarded-Host": {first}, "X-Forwarded-Proto": {second}, "X-Forwarded-For": {first, second}, "Forwarded": {first, second}}
			o := trust(t, style, "10.0.0.0/8").Origin(forwarded.Request{Remote: remote, Host: "own", Header: header})
			if !o.Addr.IsValid() || o.Addr.Zone() != "" || o.Addr.Is4In6() || o.Scheme != "http" && o.Scheme != "https" || !forwarded.IsHost(o.Host) {
				t.Errorf("%+v", o)
			}
			// Whatever the client sent, the proxy has added where it comes from.
			for name, own := range map[string]string{"X-Forwarded-For": "192.0.2.9", "Forwarded": `for="192.0.2.9"`} {
				header[name] = []string{first, second + ", " + own}
			}
			o = trust(t, style, "10.0.0.0/8").Origin(forwarded.Request{Remote: remote, Host: "own", Header: header})
			if o.Addr.String() != "192.0.2.9" {
				t.Errorf("%s: the client made itself %v", style, o.Addr)
			}
			o = trust(t, style, "10.0.0.0/8").Origin(forwarded.Request{Remote: netip.MustParseAddr("192.0.2.7"), Host: "own", Header: header})
			if o != (forwarded.Origin{Addr: netip.MustParseAddr("192.0.2.7"), Scheme: "http", Host: "own"}) {
				t.Errorf("%s: who is not trusted made itself %+v", style, o)
			}
		}
	})
}
