package report

import (
	"errors"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/transfer"
)

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1_000: "1.0 kB", 2_688_895: "2.7 MB", 4_000_000_000: "4.0 GB", 5_500_000_000_000: "5.5 TB", 9e18: "9000000.0 TB",
	} {
		if got := Size(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	var out strings.Builder
	l := NewLines(&out)
	d := oci.Descriptor{Digest: digest.FromBytes(nil), Size: 5}
	for _, k := range []transfer.Kind{transfer.Started, transfer.Moved, transfer.Copied, transfer.Present, transfer.Left} {
		l.Event(transfer.Event{Kind: k, Descriptor: d})
	}
	l.Waiting(errors.New("held"))
	const line = "sha256:e3b0c44298fc       5 B "
	want := line + "copied\n" + line + "already there\n" + line + "left out: its licence may forbid to pass it on\nwaiting: held\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
