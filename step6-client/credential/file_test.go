package credential_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shibafu.dev/step6-client/credential"
)

var alice = credential.Credential{Username: "alice", Password: "pa:ss"}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// program puts docker-credential-<name> into the path. It is a script of a shell,
// which finds its own folder as $here.
func program(t *testing.T, name, script string) (here string) {
	t.Helper()
	here = t.TempDir()
	write(t, filepath.Join(here, "docker-credential-"+name), "#!/bin/sh\nhere='"+here+"'\n"+script+"\n", 0o755)
	t.Setenv("PATH", here+":"+os.Getenv("PATH"))
	return here
}

func TestKeepAndForget(t *testing.T) {
	f := credential.File{Path: filepath.Join(t.TempDir(), "new", "config.json")}
	ctx := t.Context()
	if got, err := f.Credential(ctx, "example.com"); err != nil || got != (credential.Credential{}) {
		t.Fatalf("without a file: %v, %v", got, err)
	}
	if err := f.Keep(ctx, "example.com", alice); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Credential(ctx, "example.com"); err != nil || got != alice {
		t.Errorf("kept: %v, %v", got, err)
	}
	info, err := os.Stat(f.Path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if found, err := f.Forget(ctx, "example.com"); !found || err != nil {
		t.Errorf("Forget: %t, %v", found, err)
	}
	if found, err := f.Forget(ctx, "example.com"); found || err != nil {
		t.Errorf("Forget again: %t, %v", found, err)
	}
	if got, err := f.Credential(ctx, "example.com"); err != nil || got != (credential.Credential{}) {
		t.Errorf("forgotten: %v, %v", got, err)
	}
	if files, err := os.ReadDir(filepath.Dir(f.Path)); err != nil || len(files) != 1 {
		t.Errorf("left over: %v, %v", files, err)
	}
}

// A file that others could read is closed to them by the first write, and one that is
// a link stays one.
func TestKeepThroughLink(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "dotfiles", "config.json")
	write(t, real, `{"detachKeys":"x"}`, 0o644)
	link := filepath.Join(dir, "config.json")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	if err := (credential.File{Path: link}).Keep(t.Context(), "h", alice); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(real); err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(read(t, real), "detachKeys") {
		t.Errorf("mode %v, %v, %s", info.Mode(), err, read(t, real))
	}
}

// A file that is not understood is not written over.
func TestKeepLeavesWhatItCannotRead(t *testing.T) {
	f := credential.File{Path: filepath.Join(t.TempDir(), "config.json")}
	write(t, f.Path, `{"auths":`, 0o600)
	if err := f.Keep(t.Context(), "h", alice); !errors.Is(err, credential.ErrConfig) || read(t, f.Path) != `{"auths":` {
		t.Errorf("%v, file is %s", err, read(t, f.Path))
	}
	write(t, f.Path, `{"x":"`+strings.Repeat("a", 5<<20)+`"}`, 0o600)
	if _, err := f.Credential(t.Context(), "h"); !errors.Is(err, credential.ErrConfig) {
		t.Errorf("too large: %v", err)
	}
}

func TestDefault(t *testing.T) {
	t.Setenv("HOME", "/home/x")
	t.Setenv("DOCKER_CONFIG", "")
	if f, err := credential.Default(); err != nil || f.Path != "/home/x/.docker/config.json" {
		t.Errorf("%v, %v", f, err)
	}
	t.Setenv("DOCKER_CONFIG", "/etc/d")
	if f, err := credential.Default(); err != nil || f.Path != "/etc/d/config.json" {
		t.Errorf("%v, %v", f, err)
	}
}

func TestHelper(t *testing.T) {
	here := program(t, "mine", `
case $1 in
get) read server; case $server in
	h) echo '{"ServerURL":"h","Username":"alice","Secret":"pa:ss"}';;
	t) echo '{"Username":"<token>","Secret":"refresh"}';;
	*) echo 'credentials not found in native keychain'; exit 1;;
	esac;;
store) cat >$here/stored;;
erase) cat >$here/erased;;
esac`)
	f := credential.File{Path: filepath.Join(t.TempDir(), "config.json")}
	ctx := t.Context()
	for name, config := range map[string]string{"for all": `{"credsStore":"mine"}`, "for some": `{"credsStore":"missing","credHelpers":{"h":"mine","t":"mine","other":"mine"}}`} {
		t.Run(name, func(t *testing.T) {
			write(t, f.Path, config, 0o600)
			if got, err := f.Credential(ctx, "h"); err != nil || got != alice {
				t.Errorf("%v, %v", got, err)
			}
			if got, err := f.Credential(ctx, "t"); err != nil || got != (credential.Credential{IdentityToken: "refresh"}) {
				t.Errorf("%v, %v", got, err)
			}
			if got, err := f.Credential(ctx, "other"); err != nil || got != (credential.Credential{}) {
				t.Errorf("%v, %v", got, err)
			}
			if err := f.Keep(ctx, "h", alice); err != nil {
				t.Fatal(err)
			}
			if want := `{"ServerURL":"h","Username":"alice","Secret":"pa:ss"}`; read(t, here+"/stored") != want || read(t, f.Path) != config {
				t.Errorf("stored %s, file is %s", read(t, here+"/stored"), read(t, f.Path))
			}
			if _, err := f.Forget(ctx, "h"); err != nil || read(t, here+"/erased") != "h" {
				t.Errorf("erased %s, %v", read(t, here+"/erased"), err)
			}
		})
	}
}

// What the file has for a host counts where the program has nothing; and it goes
// when the program gets something.
func TestHelperBesideFile(t *testing.T) {
	program(t, "mine", `test $1 = store || { echo 'credentials not found in native keychain'; exit 1; }`)
	f := credential.File{Path: filepath.Join(t.TempDir(), "config.json")}
	write(t, f.Path, `{"credsStore":"mine","auths":{"h":{"auth":"dTpw"}}}`, 0o600)
	if got, err := f.Credential(t.Context(), "h"); err != nil || got.Username != "u" {
		t.Errorf("%v, %v", got, err)
	}
	if err := f.Keep(t.Context(), "h", alice); err != nil || strings.Contains(read(t, f.Path), "dTpw") {
		t.Errorf("%v, file is %s", err, read(t, f.Path))
	}
	if _, err := f.Forget(t.Context(), "h"); err != nil {
		t.Errorf("erasing what is not there: %v", err)
	}
}

func TestBadHelpers(t *testing.T) {
	for name, script := range map[string]string{
		"fails":          `echo no; exit 1`,
		"not JSON":       `echo hello`,
		"endless output": `while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done`,
	} {
		t.Run(name, func(t *testing.T) {
			program(t, "bad", script)
			f := credential.File{Path: filepath.Join(t.TempDir(), "config.json")}
			write(t, f.Path, `{"credsStore":"bad","auths":{"h":{"auth":"dTpw"}}}`, 0o600)
			if got, err := f.Credential(t.Context(), "h"); !errors.Is(err, credential.ErrHelper) || got != (credential.Credential{}) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	t.Run("hangs", func(t *testing.T) {
		program(t, "bad", `exec sleep 100`)
		f := credential.File{Path: filepath.Join(t.TempDir(), "config.json")}
		write(t, f.Path, `{"credsStore":"bad"}`, 0o600)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := f.Credential(ctx, "h"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
	for _, name := range []string{"missing", "../bad", "/bin/sh", "a/b", "a b", "a;b", "$(x)", "\x00"} {
		t.Run("name "+name, func(t *testing.T) {
			f := credential.File{Path: filepath.Join(t.TempDir(), "config.json")}
			write(t, f.Path, `{"credsStore":"`+strings.ReplaceAll(name, "\x00", `\u0000`)+`"}`, 0o600)
			if _, err := f.Credential(t.Context(), "h"); !errors.Is(err, credential.ErrHelper) {
				t.Errorf("%v", err)
			}
		})
	}
}
