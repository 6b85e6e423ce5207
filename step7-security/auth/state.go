package auth

// Waiting is how many passwords wait for others to be verified.
func (a *Accounts) Waiting() int {
	a.slots.mu.Lock()
	defer a.slots.mu.Unlock()
	n := 0
	for _, l := range a.slots.lines {
		n += l.waiting
	}
	return n
}

// Err is why the accounts are not what the files hold now; nil if they are, as far as was
// looked.
func (a *Accounts) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fault
}
