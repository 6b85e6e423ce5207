package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"shibafu.dev/step7-security/auth/password"
)

// Verify tells who a name and a secret are. A wrong name costs what a wrong secret does,
// and both are ErrCredentials; ErrBusy where too many are waiting already. Errors of
// Options.Attempts and of ctx are passed on.
func (a *Accounts) Verify(ctx context.Context, name, secret string) (Identity, error) {
	if robot, is := RobotName(name); is {
		return a.verifyRobot(ctx, robot, secret)
	}
	if password.Check(secret) != nil {
		return Identity{}, ErrCredentials // whoever it is for
	}
	s := a.now.Load()
	user, known := s.users[name]
	key := a.mac(name, secret)
	if known && a.remembers(key, user.version) {
		return a.found(name, user.version)
	}
	if err := a.begin(ctx); err != nil {
		return Identity{}, err
	}
	hash := user.hash
	if !known {
		hash = s.standIn(a.mac(name, ""))
	}
	if err := a.slots.acquire(ctx); err != nil {
		return Identity{}, err
	}
	// Of many who come with the same password at once, the first one pays.
	matches := known && a.remembers(key, user.version) || a.opts.Matches(hash, secret)
	if known && matches {
		a.good.put(key, user.version, a.opts.Remember) // before the next one's turn
	}
	a.slots.release()
	if !known || !matches {
		return Identity{}, a.failed(ctx)
	}
	id, err := a.found(name, user.version)
	if err != nil {
		return Identity{}, a.failed(ctx)
	}
	return id, nil
}

func (a *Accounts) remembers(key [sha256.Size]byte, version string) bool {
	good, ok := a.good.get(key)
	return ok && good == version
}

// found is the identity of a user whose password was right for a version.
func (a *Accounts) found(name, version string) (Identity, error) {
	id, ok := a.current(name)
	if !ok || id.version != version {
		return Identity{}, ErrCredentials
	}
	return id, nil
}

// verifyRobot hashes the secret of a robot that is not there too.
func (a *Accounts) verifyRobot(ctx context.Context, robot, secret string) (Identity, error) {
	if err := a.begin(ctx); err != nil {
		return Identity{}, err
	}
	if len(secret) > password.MaxLen {
		return Identity{}, a.failed(ctx)
	}
	entry := a.now.Load().robots[robot]
	same := subtle.ConstantTimeCompare([]byte(hashSecret(secret)), []byte(entry.Secret)) == 1
	id, ok := a.current(RobotPrefix + robot)
	if !same || !ok {
		return Identity{}, a.failed(ctx)
	}
	a.uses.note(robot)
	return id, nil
}

func (a *Accounts) begin(ctx context.Context) error {
	if a.opts.Attempts == nil {
		return nil
	}
	return a.opts.Attempts.Begin(ctx)
}

func (a *Accounts) failed(ctx context.Context) error { return a.failedWith(ctx, ErrCredentials) }

// failedWith tells Attempts of a failure, if it was that of who asks.
func (a *Accounts) failedWith(ctx context.Context, err error) error {
	if a.opts.Attempts != nil && errors.Is(err, ErrCredentials) {
		a.opts.Attempts.Failed(ctx)
	}
	return err
}

// standIn is the hash that is tried for a name that nobody has: that of one of the users,
// always the same one, so that such names take as long as others do, in whatever ways the
// users' hashes differ. Nothing matches it, as the caller knows.
func (s *snapshot) standIn(mac [sha256.Size]byte) password.Hash {
	if len(s.hashes) == 0 {
		return usual()
	}
	return s.hashes[binary.BigEndian.Uint64(mac[:])%uint64(len(s.hashes))]
}

// usual is a hash of the usual cost, of nothing in particular.
func usual() password.Hash {
	h, _ := password.Parse(fmt.Sprintf("$pbkdf2-sha256$%d$AAAAAAAAAAAAAAAAAAAAAA$%043d", password.DefaultRounds, 0))
	return h
}

// mac is what a name and a secret are remembered by. Nobody can try secrets against it
// without this process's key.
func (a *Accounts) mac(name, secret string) (sum [sha256.Size]byte) {
	m := hmac.New(sha256.New, a.salt[:])
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(len(name))))
	m.Write([]byte(name))
	m.Write([]byte(secret))
	m.Sum(sum[:0])
	return sum
}
