package auth_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"strings"
	"testing"

	"shibafu.dev/step7-security/auth"
)

func TestCertificateName(t *testing.T) {
	common := func(name string) *x509.Certificate { return &x509.Certificate{Subject: pkix.Name{CommonName: name}} }
	uri := &url.URL{Scheme: "spiffe", Host: "acme.test", Path: "/build"}
	tests := []struct {
		name string
		cert *x509.Certificate
		want string
	}{
		{"common name", common("node-1"), "cert$node-1"},
		{"common name beside others", &x509.Certificate{Subject: pkix.Name{CommonName: "node-1"}, DNSNames: []string{"a.test", "b.test"}}, "cert$node-1"},
		{"one DNS name", &x509.Certificate{DNSNames: []string{"node.test"}}, "cert$node.test"},
		{"one URI", &x509.Certificate{URIs: []*url.URL{uri}}, "cert$spiffe://acme.test/build"},
		{"two DNS names", &x509.Certificate{DNSNames: []string{"a.test", "b.test"}}, ""},
		{"a DNS name and a URI", &x509.Certificate{DNSNames: []string{"a.test"}, URIs: []*url.URL{uri}}, ""},
		{"nothing", &x509.Certificate{}, ""},
		{"a line break", common("a\nb"), ""},
		{"a space", common(" root"), ""},
		{"a long one", common(strings.Repeat("a", 600)), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := auth.CertificateName(tt.cert); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
