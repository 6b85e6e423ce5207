package layer_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"shibafu.dev/step6-client/layer"
)

// What GNU tar writes in any of its formats is unpacked to what it read.
func TestGNUTar(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		lost string // attributes that the format cannot hold
	}{
		{"pax", []string{"--format=posix", "--xattrs", "--xattrs-include=*"}, ""},
		{"pax, sparse 1.0", []string{"--format=posix", "--xattrs", "--xattrs-include=*", "--sparse"}, ""},
		{"pax, sparse 0.1", []string{"--format=posix", "--xattrs", "--xattrs-include=*", "--sparse", "--sparse-version=0.1"}, ""},
		{"pax, sparse 0.0", []string{"--format=posix", "--xattrs", "--xattrs-include=*", "--sparse", "--sparse-version=0.0"}, ""},
		{"gnu", []string{"--format=gnu"}, "user."},
		{"gnu, sparse", []string{"--format=gnu", "--sparse"}, "user."},
		{"oldgnu, sparse", []string{"--format=oldgnu", "--sparse"}, "user."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t)
			holes(t, dir+"/a/holes")
			args := append([]string{"--create", "--numeric-owner", "--file=-", "--directory=" + dir}, tt.args...)
			raw, err := exec.Command("tar", append(args, ".")...).Output()
			if err != nil {
				t.Fatal(err)
			}
			h := newHost(t)
			if err := layer.Unpack(t.Context(), h.target(), plain(raw), layer.Options{UserXattr: true, Devices: true}); err != nil {
				t.Fatal(err)
			}
			got, want := describe(t, h.target(), true), describe(t, dir, true)
			if tt.lost != "" {
				for i := range want {
					want[i] = withoutAttributes(want[i])
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("unpacked\n%s\nwas\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if isSparse := slices.Contains(tt.args, "--sparse"); blocks(t, h.target()+"/a/holes") < 1000 != isSparse {
				t.Errorf("%d blocks", blocks(t, h.target()+"/a/holes"))
			}
		})
	}
}

// withoutAttributes is a line of describe that ends with the time.
func withoutAttributes(line string) string {
	for _, name := range []string{" user.", " security."} {
		line, _, _ = strings.Cut(line, name)
	}
	return line
}

// holes writes a file of 2 MiB, most of which is not there, and which ends with a
// hole.
func holes(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, offset := range []int64{0, 300_000, 1_000_001, 1_500_000, 1_600_000, 1_700_000} {
		if _, err := f.WriteAt([]byte("something"), offset); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(2 << 20); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, now, now); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Dir(path), now, now); err != nil {
		t.Fatal(err)
	}
}

// blocks is how much of the disk a file takes, in units of 512 bytes.
func blocks(t *testing.T, path string) int64 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks
}

// A tar of GNU tar becomes the layer that its folder becomes, but for the order of
// the entries: unpacked, both are the same.
func TestFromGNUTar(t *testing.T) {
	dir := tree(t)
	holes(t, dir+"/a/holes")
	cmd := exec.Command("tar", "--create", "--file=-", "--directory="+dir, "--format=posix", "--xattrs", "--xattrs-include=*", "--sparse", ".")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var raw strings.Builder
	m, err := layer.FromTar(t.Context(), &raw, out, layer.MakeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	if err := layer.Unpack(t.Context(), h.target(), h.blobOf(m, []byte(raw.String())), layer.Options{UserXattr: true, Devices: true}); err != nil {
		t.Fatal(err)
	}
	if got, want := describe(t, h.target(), true), describe(t, dir, true); !slices.Equal(got, want) {
		t.Errorf("unpacked\n%s\nwas\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
