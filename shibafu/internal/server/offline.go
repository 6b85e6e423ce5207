package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"shibafu.dev/step7-security/adminhttp"
	"shibafu.dev/step7-security/guards"
	"shibafu.dev/step7-security/observe/metrics"
)

// errOwner says that what was written here could not be read by the server.
var errOwner = errors.New("it belongs to another user, whose server could not read what root writes: run this as that user")

// SocketPath is where a server listens for those who look after its registry: a unix
// socket that only its user can reach.
func (c *Config) SocketPath() (string, error) {
	root, err := storeRoot(c.Root)
	return filepath.Join(own(root), "socket"), err
}

// Offline is the admin API of a registry that is not served: of what lies in files. It
// makes nothing before something is changed, and a server that starts meanwhile does no
// harm.
func Offline(c *Config) (http.Handler, error) {
	root, err := storeRoot(c.Root)
	if err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 { // others may not write what is another's, and are told so
		if err := belongsTo(root, 0); err != nil {
			return nil, err
		}
	}
	g, err := guards.Look(guards.Options{
		Folder: own(root), Policy: c.Auth.Policy, Htpasswd: c.Auth.Htpasswd,
		Ask: c.TLS.ClientCA != "" || c.Auth.Issuers != "",
		Log: slog.New(slog.DiscardHandler), Metrics: &metrics.Registry{},
	})
	if err != nil {
		return nil, err
	}
	return adminhttp.New(adminhttp.Ports{Directory: g.Directory(), Rules: g.Rules(), Keys: g.SigningKeys()}, adminhttp.Options{Trusted: true})
}

// belongsTo says whether what is written in a root by root is read by its server: if it is
// another user's, it is not.
func belongsTo(root string, uid int) error {
	for _, folder := range []string{own(root), root} {
		info, err := os.Stat(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != uid {
			return fmt.Errorf("%s: %w (sudo -u '#%d')", folder, errOwner, stat.Uid)
		}
		return nil
	}
	return nil
}
