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
func (a *Accounts) Verify(ctx context.Context, name, secret string) (id Identity, err error) {
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
	hash := user.hash
	if !known {
		hash = s.standIn(a.mac(name, ""))
	}
	err = a.attempt(ctx, func() error {
		source := a.opts.Source(ctx)
		if err := a.slots.acquire(ctx, source); err != nil {
			return err
		}
		// Of many who come with the same password at once, the first one pays.
		matches := known && a.remembers(key, user.version) || a.opts.Matches(hash, secret)
		if known && matches {
			a.good.put(key, user.version, a.opts.Remember) // before the next one's turn
		}
		a.slots.release(source, known && matches)
		if !known || !matches {
			return ErrCredentials
		}
		id, err = a.found(name, user.version)
		return err
	})
	return id, err
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
func (a *Accounts) verifyRobot(ctx context.Context, robot, secret string) (id Identity, err error) {
	err = a.attempt(ctx, func() error {
		if len(secret) > password.MaxLen {
			return ErrCredentials
		}
		entry := a.now.Load().robots[robot]
		same := subtle.ConstantTimeCompare([]byte(hashSecret(secret)), []byte(entry.Secret)) == 1
		known := false
		if id, known = a.current(RobotPrefix + robot); !same || !known {
			id = Identity{}
			return ErrCredentials
		}
		a.uses.note(robot)
		return nil
	})
	return id, err
}

// attempt tries a secret once Attempts allow it, and tells them whether it was wrong.
func (a *Accounts) attempt(ctx context.Context, try func() error) (err error) {
	if a.opts.Attempts == nil {
		return try()
	}
	done, err := a.opts.Attempts.Attempt(ctx)
	if err != nil {
		return err
	}
	defer func() { done(!errors.Is(err, ErrCredentials)) }()
	return try()
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
