// Package cmdline is what command lines have in common that deal with images: flags
// that stand anywhere, and what a program exits with.
package cmdline

import (
	"errors"
	"flag"
	"fmt"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/layout"
	"shibafu.dev/step6-client/place"
	"shibafu.dev/step6-client/transfer"
)

// What a program exits with.
const (
	ExitOK      = 0
	ExitFailed  = 1
	ExitUsage   = 2
	ExitUnknown = 3 // no such image, repository, or platform
	ExitDenied  = 4 // the registry does not let us
)

// ErrUsage is for what was not said rightly.
var ErrUsage = errors.New("usage")

// Parse reads flags wherever they stand, up to "--", and returns the rest. Where most
// is not negative, what follows so many arguments is taken as it is: it belongs to
// another program. flag.ErrHelp, ErrUsage.
func Parse(flags *flag.FlagSet, args []string, most int) (rest []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			if !errors.Is(err, flag.ErrHelp) {
				err = fmt.Errorf("%w: %w", ErrUsage, err)
			}
			return nil, err
		}
		left := flags.Args()
		if len(left) == 0 {
			return rest, nil
		}
		if ended := len(args) - len(left); ended > 0 && args[ended-1] == "--" {
			return append(rest, left...), nil
		}
		rest, args = append(rest, left[0]), left[1:]
		if len(rest) == most {
			return append(rest, args...), nil
		}
	}
}

// ExitCode is what err ends a program with; nil is success.
func ExitCode(err error) int {
	for _, code := range []struct {
		of   error
		code int
	}{
		{flag.ErrHelp, ExitOK},
		{ErrUsage, ExitUsage},
		{place.ErrPlace, ExitUsage},
		{ref.ErrReference, ExitUsage},
		{layout.ErrName, ExitUsage},
		{ocierr.Unauthorized, ExitDenied},
		{ocierr.Denied, ExitDenied},
		{ocierr.ManifestUnknown, ExitUnknown},
		{ocierr.NameUnknown, ExitUnknown},
		{layout.ErrUnknown, ExitUnknown},
		{transfer.ErrPlatform, ExitUnknown},
	} {
		if errors.Is(err, code.of) {
			return code.code
		}
	}
	if err != nil {
		return ExitFailed
	}
	return ExitOK
}
