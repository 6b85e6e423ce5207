package container

// Execute has the store execute a program in the place of this one.
func (s *Store) Execute(program string) { s.program = program }
