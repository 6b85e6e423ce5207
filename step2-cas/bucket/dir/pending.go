package dir

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
)

// pending holds the keys that are being changed: from before their conditions
// are checked until the change is durable. Writers of a key take turns by it,
// and readers wait by it for what they must not see yet.
type pending struct {
	count atomic.Int64 // of keys and doubts; lets readers pass without the lock
	mu    sync.Mutex
	keys  map[string]chan struct{} // closed when the key is no longer pending
	// doubts are the keys that were changed by a write which the disk then refused
	// to make durable. What a power cut would leave of them nobody can tell, so
	// they can be neither read nor written until the bucket is opened again; and
	// as such a disk is not to be trusted, nothing else is written either.
	doubts map[string]error
}

// acquire marks all keys as pending, once none of them is.
func (p *pending) acquire(ctx context.Context, keys []string) error {
	mine := make(chan struct{})
	for {
		p.mu.Lock()
		for _, err := range p.doubts {
			p.mu.Unlock()
			return err
		}
		var busy chan struct{}
		for _, key := range keys {
			if c, ok := p.keys[key]; ok {
				busy = c
				break
			}
		}
		if busy == nil {
			if p.keys == nil {
				p.keys = map[string]chan struct{}{}
			}
			for _, key := range keys {
				p.keys[key] = mine
			}
			p.count.Add(int64(len(keys)))
			p.mu.Unlock()
			return nil
		}
		p.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// release ends what acquire began. With an error the keys become doubts.
func (p *pending) release(keys []string, doubt error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.keys[keys[0]])
	for _, key := range keys {
		delete(p.keys, key)
		if doubt == nil {
			continue
		}
		if p.doubts == nil {
			p.doubts = map[string]error{}
		}
		p.doubts[key] = doubt
	}
	if doubt == nil {
		p.count.Add(-int64(len(keys)))
	}
}

// wait returns when key is not pending; waited tells whether it was.
func (p *pending) wait(ctx context.Context, key string) (waited bool, err error) {
	if p.count.Load() == 0 {
		return false, nil
	}
	p.mu.Lock()
	busy, ok := p.keys[key]
	doubt := p.doubts[key]
	p.mu.Unlock()
	if !ok {
		return false, doubt
	}
	select {
	case <-busy:
		return true, nil
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

// waitUnder returns when none of the keys that are pending now, and start with
// prefix, is pending any more.
func (p *pending) waitUnder(ctx context.Context, prefix string) error {
	if p.count.Load() == 0 {
		return nil
	}
	p.mu.Lock()
	var busy []chan struct{}
	for key, c := range p.keys {
		if strings.HasPrefix(key, prefix) {
			busy = append(busy, c)
		}
	}
	for key, err := range p.doubts {
		if strings.HasPrefix(key, prefix) {
			p.mu.Unlock()
			return err
		}
	}
	p.mu.Unlock()
	for _, c := range busy {
		select {
		case <-c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
