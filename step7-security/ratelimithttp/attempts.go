package ratelimithttp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step7-security/ratelimit"
)

// Attempts hold up the address that wrong passwords come from, and no other.
type Attempts struct {
	Failures *ratelimit.Failures
	// Address is where a context's request comes from.
	Address func(ctx context.Context) netip.Addr
}

// Attempt is called before a password is tried, and done after it was. It may wait; its
// error is one of ocierr that says when to come back, or that of ctx.
func (a Attempts) Attempt(ctx context.Context) (done func(succeeded bool), err error) {
	done, err = a.Failures.Attempt(ctx, ratelimit.AddressKey(a.Address(ctx)))
	var refused *ratelimit.RefusedError
	if errors.As(err, &refused) {
		return nil, errors.Join(&ocierr.Error{Code: ocierr.TooManyRequests,
			Message: fmt.Sprintf("too many wrong passwords from your address; try again in %.0f seconds", math.Ceil(refused.After.Seconds()))}, err)
	}
	return done, err
}
