package guards

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step7-security/admin"
	"shibafu.dev/step7-security/observe/metrics"
)

const words = "correct horse battery"

// What is changed while a registry runs is in force when that returns: the first user,
// whose token is good too, and rules.
func TestLookedAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := opened(t, Options{})
		ctx, stop := context.WithCancel(t.Context())
		ended, changes := make(chan struct{}), 0
		go func() { g.Run(ctx, func() { changes++ }); close(ended) }()
		h := registry(t, g)
		want := func(name string, status, counted int) {
			t.Helper()
			if w := asks(h, here, "", "GET", "/v2/a/manifests/v1"); w.Code != status {
				t.Errorf("%s: %d, want %d", name, w.Code, status)
			}
			synctest.Wait()
			if changes != counted {
				t.Errorf("%s: %d changes, want %d", name, changes, counted)
			}
		}
		want("nobody is asked", 200, 0)
		directory, rules := g.Directory(), g.Rules()
		directory.Rounds = 1000
		if err := directory.AddUser(admin.NewUser{Name: "alice", Password: words}); err != nil {
			t.Fatal(err)
		}
		if list, err := g.SigningKeys().List(); err != nil || len(list) != 1 {
			t.Errorf("keys %+v, %v", list, err)
		}
		want("there is a user", 401, 1)
		public := `{"rules": [{"subjects": ["anonymous"], "repositories": ["*"], "actions": ["pull"]}]}`
		if text, err := rules.Replace([]byte(public), ""); err != nil || !text.InForce {
			t.Fatalf("%+v, %v", text, err)
		}
		want("rules let everybody pull", 200, 2)
		write(t, rules.File, "{")
		if text, err := rules.Text(); err != nil || text.InForce || !strings.Contains(text.Reason, PolicyFile) {
			t.Errorf("bad rules: %+v, %v", text, err)
		}
		want("bad rules", 200, 2)
		time.Sleep(time.Minute) // to look again and again is no cure
		if text, err := rules.Text(); err != nil || text.InForce || g.rules.err() == nil {
			t.Errorf("bad rules, later: %+v, %v", text, err)
		}
		stop()
		<-ended
	})
}

// Who looks at a folder in which nobody serves makes nothing in it, and changes what he
// means to change alone.
func TestLook(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "root", "shibafu")
	g, err := Look(Options{Folder: folder, Metrics: &metrics.Registry{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := g.Rules().Text(); err != nil || text.Hash != "" || !text.InForce {
		t.Errorf("rules %+v, %v", text, err)
	}
	if all, err := g.Directory().Users(); err != nil || len(all) != 0 {
		t.Errorf("users %+v, %v", all, err)
	}
	if list, err := g.SigningKeys().List(); err != nil || len(list) != 0 {
		t.Errorf("keys %+v, %v", list, err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder: %v", err)
	}
	if _, err := g.Directory().AddRobot(admin.NewRobot{Name: "ci"}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 2 || entries[0].Name() != UsersFile {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
	if err := g.SigningKeys().Rotate(); err != nil {
		t.Error(err)
	}
}
