package cli

import (
	"net/netip"
	"strings"
	"testing"

	"shibafu.dev/shibafu/internal/container"
	"shibafu.dev/shibafu/internal/container/inside"
)

func TestVolumeFlag(t *testing.T) {
	for text, want := range map[string]inside.Volume{
		"/a:/b":          {Source: "/a", Target: "/b"},
		"/a:/b:ro":       {Source: "/a", Target: "/b", ReadOnly: true},
		"/a:/b:rw":       {Source: "/a", Target: "/b"},
		"/a/../c/:/b/..": {Source: "/c", Target: "/b/.."}, // what is wrong inside is found there
	} {
		var f specFlags
		if err := f.volume(text); err != nil || len(f.Volumes) != 1 || f.Volumes[0] != want {
			t.Errorf("%q: %v, %v", text, f.Volumes, err)
		}
	}
	for _, text := range []string{"", ":", "/a", "/a:", ":/b", "/a:/b:", "/a:/b:RO", "/a:/b:ro:z", "name:/b"} {
		var f specFlags
		if err := f.volume(text); err == nil {
			t.Errorf("%q: %v", text, f.Volumes)
		}
	}
}

func TestPublishFlag(t *testing.T) {
	for text, want := range map[string]container.Port{
		"80:8080":              {Host: netip.MustParseAddrPort("127.0.0.1:80"), Container: 8080},
		"80:8080/tcp":          {Host: netip.MustParseAddrPort("127.0.0.1:80"), Container: 8080},
		"0.0.0.0:80:8080":      {Host: netip.MustParseAddrPort("0.0.0.0:80"), Container: 8080},
		"[::1]:80:8080":        {Host: netip.MustParseAddrPort("[::1]:80"), Container: 8080},
		"0:65535":              {Host: netip.MustParseAddrPort("127.0.0.1:0"), Container: 65535},
		"[::ffff:1.2.3.4]:1:1": {Host: netip.MustParseAddrPort("1.2.3.4:1"), Container: 1},
	} {
		var f specFlags
		if err := f.publish(text); err != nil || len(f.Ports) != 1 || f.Ports[0] != want {
			t.Errorf("%q: %v, %v", text, f.Ports, err)
		}
	}
	for _, text := range []string{"", "80", ":", "80:", ":80", "80:0", "65536:1", "1:65536", "-1:1", "+1:1", "1:1/udp", "host:1:1", "1:2:3:4", "1-2:1-2", "[]:1:1"} {
		var f specFlags
		if err := f.publish(text); err == nil {
			t.Errorf("%q: %v", text, f.Ports)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "512m": 512 << 20, "2G": 2 << 30, "2gb": 2 << 30, "1k": 1 << 10, "1t": 1 << 40, "10b": 10, "4194304t": 1 << 62,
	} {
		if n, err := parseBytes(text); n != want || err != nil {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "m", "1mm", "1.5g", "1e3", "0x10", " 1", "9223372036854775808", "8388608t", "1 m", "bb"} {
		if n, err := parseBytes(text); err == nil {
			t.Errorf("%q: %d", text, n)
		}
	}
}

// What flags are made of is what they say, or refused.
func FuzzRunFlags(f *testing.F) {
	for _, text := range []string{"/a:/b:ro", "[::1]:80:80/tcp", "512m", "A=b", "-1", "9223372036854775807k"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s specFlags
		if s.volume(text) == nil && !strings.HasPrefix(s.Volumes[0].Source, "/") {
			t.Errorf("volume %+v", s.Volumes)
		}
		if s.publish(text) == nil && (s.Ports[0].Container == 0 || !s.Ports[0].Host.IsValid()) {
			t.Errorf("port %+v", s.Ports)
		}
		if n, err := parseBytes(text); err == nil && n <= 0 {
			t.Errorf("%d bytes", n)
		}
		if s.processes(text) == nil && (s.Limits.Processes < -1 || s.Limits.Processes == 0) {
			t.Errorf("%d processes", s.Limits.Processes)
		}
		if s.env(text) == nil && len(s.Env) == 1 && strings.HasPrefix(s.Env[0], "=") {
			t.Errorf("variable %q", s.Env)
		}
	})
}
