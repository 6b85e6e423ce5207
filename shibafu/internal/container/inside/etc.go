package inside

// writeEtc writes what says who and where the container is. The files are its own:
// what an image has in their place, a symbolic link perhaps, is taken away.
func (s *setup) writeEtc() error {
	etc, err := s.root.PlainFolder("etc", 0o755)
	if err != nil {
		return err
	}
	defer etc.Close()
	for _, f := range []struct {
		name    string
		content []byte
	}{
		{"hosts", s.Hosts},
		{"hostname", []byte(s.Hostname + "\n")},
		{"resolv.conf", s.Resolv},
	} {
		if err := etc.Replace(f.name, f.content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
