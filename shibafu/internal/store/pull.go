package store

import (
	"context"
	"errors"

	"shibafu.dev/step6-client/place"
	"shibafu.dev/step6-client/transfer"
)

// PullOptions say what Pull fetches, and how.
type PullOptions struct {
	// Access is how the registry is reached.
	Access place.Access
	// Copy says what is copied: all platforms, unless one is named.
	Copy transfer.Options
	// Waiting is as in Create.
	Waiting func(error)
}

// Pull fetches the image that a reference names from its registry into the store in a
// folder, under its whole name, and makes the store if it is not there. It holds the
// store meanwhile. What came before an error is kept, and the next Pull goes on with
// it. Errors are those of package transfer, of ocierr and of Create; ref.ErrReference.
func Pull(ctx context.Context, folder, reference string, o PullOptions) (Image, error) {
	from, err := o.Access.Registry(reference)
	if err != nil {
		return Image{}, err
	}
	defer from.Close()
	s, err := Create(ctx, folder, o.Waiting)
	if err != nil {
		return Image{}, err
	}
	d, err := transfer.Copy(ctx, s, from.Name(), from, from.At(), o.Copy)
	if err = errors.Join(err, s.Close()); err != nil {
		return Image{}, err
	}
	return Image{from.Name(), d}, nil
}
