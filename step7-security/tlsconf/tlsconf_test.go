package tlsconf_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"testing"

	"shibafu.dev/step7-security/tlsconf"
)

// shake has a client of that configuration meet a server of this one, and returns
// what each of them has agreed to.
func shake(t *testing.T, server, client *tls.Config) (s, c tls.ConnectionState, err error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	here, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	there, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	peer := tls.Server(there, server)
	done := make(chan error, 1)
	go func() {
		defer there.Close()
		err := peer.HandshakeContext(t.Context())
		if err == nil {
			_, err = peer.Write([]byte("x"))
		}
		done <- err
	}()
	own := tls.Client(here, client)
	if err = own.HandshakeContext(t.Context()); err == nil {
		_, err = io.ReadFull(own, make([]byte, 1)) // only then it is known whether the server took us
	}
	here.Close()
	serverErr := <-done
	return peer.ConnectionState(), own.ConnectionState(), errors.Join(err, serverErr)
}

func noCAs() *x509.CertPool { return nil }

func TestChoice(t *testing.T) {
	a := newAuthority(t, "ca")
	files, err := tlsconf.OpenFiles(
		a.save("first", a.leaf(a256(t), "first", "first.example", "127.0.0.1")),
		a.save("rsa", a.leaf(rsa2048(t), "rsa", "both.example")),
		a.save("ecdsa", a.leaf(a256(t), "ecdsa", "both.example")),
		a.save("wild", a.leaf(a256(t), "wild", "*.wild.example")),
		a.save("exact", a.leaf(a256(t), "exact", "exact.wild.example")),
	)
	if err != nil {
		t.Fatal(err)
	}
	ecdsaOnly := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	tests := []struct {
		name, asked, want string
		suites            []uint16
		reason            string
	}{
		{"the first", "first.example", "first", nil, ""},
		{"upper case", "FIRST.example", "first", nil, ""},
		{"no name", "", "first", nil, ""},
		{"a name that nobody has", "other.example", "first", nil, "the client decides whether it is content"},
		{"two of a name", "both.example", "rsa", nil, "in the order of the files"},
		{"two of a name, one that fits", "both.example", "ecdsa", ecdsaOnly, ""},
		{"wildcard", "x.wild.example", "wild", nil, ""},
		{"before the wildcard", "exact.wild.example", "exact", nil, ""},
		{"too deep for the wildcard", "a.b.wild.example", "first", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := &tls.Config{InsecureSkipVerify: true, ServerName: tt.asked}
			if client.CipherSuites = tt.suites; tt.suites != nil {
				client.MaxVersion = tls.VersionTLS12
			}
			_, c, err := shake(t, tlsconf.Server(files, tlsconf.ClientNone, noCAs), client)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.PeerCertificates[0].Subject.CommonName; got != tt.want {
				t.Errorf("got %s, want %s (%s)", got, tt.want, tt.reason)
			}
		})
	}
}

func TestVersionsAndProtocols(t *testing.T) {
	a := newAuthority(t, "ca")
	files, err := tlsconf.OpenFiles(a.save("x", a.leaf(a256(t), "", "x.example")))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		min, max uint16
		offers   []string
		agreed   string
		fails    bool
	}{
		{"1.3", tls.VersionTLS13, 0, []string{"http/1.1", "h2"}, "h2", false},
		{"1.2", 0, tls.VersionTLS12, []string{"h2"}, "h2", false},
		{"HTTP/1.1", 0, 0, []string{"http/1.1"}, "http/1.1", false},
		{"no protocol", 0, 0, nil, "", false},
		{"a protocol that is not spoken", 0, 0, []string{"smtp"}, "", true},
		{"1.1", tls.VersionTLS10, tls.VersionTLS11, []string{"h2"}, "", true},
		{"1.0", tls.VersionTLS10, tls.VersionTLS10, nil, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, c, err := shake(t, tlsconf.Server(files, tlsconf.ClientNone, noCAs),
				&tls.Config{RootCAs: a.pool(), ServerName: "x.example", MinVersion: tt.min, MaxVersion: tt.max, NextProtos: tt.offers})
			if (err != nil) != tt.fails || c.NegotiatedProtocol != tt.agreed {
				t.Errorf("%q, %v", c.NegotiatedProtocol, err)
			}
		})
	}
}

// New files are used for new connections; bad ones leave the old in place.
func TestReload(t *testing.T) {
	a := newAuthority(t, "ca")
	pair := a.save("x", a.leaf(a256(t), "one", "x.example"))
	files, err := tlsconf.OpenFiles(pair)
	if err != nil {
		t.Fatal(err)
	}
	want := func(name string) {
		t.Helper()
		_, c, err := shake(t, tlsconf.Server(files, tlsconf.ClientNone, noCAs), &tls.Config{RootCAs: a.pool(), ServerName: "x.example"})
		if err != nil || c.PeerCertificates[0].Subject.CommonName != name {
			t.Errorf("%v, want %s", err, name)
		}
	}
	want("one")
	a.save("x", a.leaf(a256(t), "two", "x.example"))
	if changed, err := files.Poll(); !changed || err != nil {
		t.Errorf("new files: %v, %v", changed, err)
	}
	want("two")
	expiry := files.Expiry()
	other := a.save("other", a.leaf(a256(t), "three", "x.example"))
	key, _ := os.ReadFile(other.Key)
	write(t, pair.Key, key)
	if _, err := files.Poll(); err == nil {
		t.Error("a key of another certificate was taken")
	}
	want("two")
	if !files.Expiry().Equal(expiry) || expiry.IsZero() {
		t.Errorf("it ends at %v, and then at %v", expiry, files.Expiry())
	}
}

func TestOpenFilesRefuses(t *testing.T) {
	a := newAuthority(t, "ca")
	one, two := a.save("one", a.leaf(a256(t), "", "a")), a.save("two", a.leaf(a256(t), "", "b"))
	tests := []struct {
		name  string
		pairs []tlsconf.Pair
	}{
		{"none", nil},
		{"no such file", []tlsconf.Pair{one, {Cert: one.Cert, Key: "none"}}},
		{"another's key", []tlsconf.Pair{{Cert: one.Cert, Key: two.Key}}},
		{"swapped", []tlsconf.Pair{{Cert: one.Key, Key: one.Cert}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tlsconf.OpenFiles(tt.pairs...); err == nil {
				t.Error("opened")
			}
		})
	}
	for _, name := range []string{one.Key, "none"} {
		if _, err := tlsconf.OpenPool(a.saveCA("ca.pem"), name); err == nil {
			t.Errorf("a pool of %s", name)
		}
	}
}

func TestClients(t *testing.T) {
	servers, clients, others := newAuthority(t, "servers"), newAuthority(t, "clients"), newAuthority(t, "clients")
	files, err := tlsconf.OpenFiles(servers.save("x", servers.leaf(a256(t), "", "x.example")))
	if err != nil {
		t.Fatal(err)
	}
	pool, err := tlsconf.OpenPool(clients.saveCA("clients.pem"))
	if err != nil {
		t.Fatal(err)
	}
	good, bad := clients.leaf(a256(t), "node-1"), others.leaf(a256(t), "node-1")
	tests := []struct {
		name  string
		mode  tlsconf.ClientMode
		cert  *tls.Certificate
		who   string
		fails bool
	}{
		{"not asked", tlsconf.ClientNone, good, "", false},
		{"optional, none", tlsconf.ClientOptional, nil, "", false},
		{"optional, one", tlsconf.ClientOptional, good, "node-1", false},
		{"optional, of another CA", tlsconf.ClientOptional, bad, "", true},
		{"required, none", tlsconf.ClientRequired, nil, "", true},
		{"required, one", tlsconf.ClientRequired, good, "node-1", false},
		{"required, of another CA", tlsconf.ClientRequired, bad, "", true},
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, tt := range tests {
			t.Run(tls.VersionName(version)+", "+tt.name, func(t *testing.T) {
				client := &tls.Config{RootCAs: servers.pool(), ServerName: "x.example", MaxVersion: version}
				if tt.cert != nil { // whether the server asks for that CA or not
					client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return tt.cert, nil }
				}
				s, _, err := shake(t, tlsconf.Server(files, tt.mode, pool.Current), client)
				who := "" // by the chain that was verified
				if len(s.VerifiedChains) > 0 {
					who = s.VerifiedChains[0][0].Subject.CommonName
				}
				if (err != nil) != tt.fails || err == nil && who != tt.who {
					t.Errorf("%q, %v", who, err)
				}
			})
		}
	}
}

// Who signed a client's certificate is asked for each connection, also for one that
// would go on with what an earlier one agreed on.
func TestRemovedCA(t *testing.T) {
	a := newAuthority(t, "ca")
	files, err := tlsconf.OpenFiles(a.save("x", a.leaf(a256(t), "", "x.example")))
	if err != nil {
		t.Fatal(err)
	}
	trusted := a.pool()
	server := tlsconf.Server(files, tlsconf.ClientRequired, func() *x509.CertPool { return trusted })
	client := &tls.Config{RootCAs: a.pool(), ServerName: "x.example", Certificates: []tls.Certificate{*a.leaf(a256(t), "node")},
		ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &client.Certificates[0], nil }
	for range 2 {
		if _, c, err := shake(t, server, client); err != nil || c.DidResume {
			t.Fatalf("%v, resumed %v", err, c.DidResume)
		}
	}
	for name, pool := range map[string]*x509.CertPool{"another": newAuthority(t, "other").pool(), "none": nil} {
		trusted = pool
		if _, _, err := shake(t, server, client); err == nil {
			t.Errorf("with %s CA the client was let in", name)
		}
	}
	if config, err := server.GetConfigForClient(nil); err != nil || config.ClientCAs == nil {
		t.Errorf("without CAs those of the system are trusted: %v", err)
	}
}
