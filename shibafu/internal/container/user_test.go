package container_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"shibafu.dev/shibafu/internal/container"
)

// asUser is set where the tests are run again as an ordinary user, and asRanged where
// they are about to be by one who has a range of ids.
const (
	asUser   = "CONTAINER_TEST_USER"
	asRanged = "CONTAINER_TEST_RANGED"
)

const (
	nobody = 65534
	// ranged is a user whom only some tests know, with these ids beside his own.
	ranged, rangedFirst, rangedCount = 54321, 700_000, 65536
)

// again runs this program again, which is to run tests as that user.
func again(t *testing.T, uid int, env string, args ...string) {
	t.Helper()
	home := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(home), 0o755), os.Chown(home, uid, uid)); err != nil {
		t.Fatal(err)
	}
	programs, err := built()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.CopyFS(home, os.DirFS(programs)), os.Chmod(home, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", append(args, "-test.count=1", "-test.v="+fmt.Sprint(testing.Verbose()))...)
	cmd.Env = []string{env, asUser + "=" + home, "TMPDIR=" + home, "PATH=" + os.Getenv("PATH"), "GOCOVERDIR="}
	cmd.Dir = home
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if env == "" {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// Everything holds for an ordinary user as well. Where the tests are run by one, it
// has been seen already.
func TestAllAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() == 0 {
		again(t, nobody, "")
	}
}

// What has to do with users holds for one who has a range of ids.
func TestAsUserWithRange(t *testing.T) {
	if os.Geteuid() != 0 {
		return
	}
	if _, err := exec.LookPath("newuidmap"); err != nil {
		return // nobody has other ids then
	}
	again(t, ranged, asRanged+"=1", "-test.run=^(TestRange|TestUsers|TestAttempts|TestHostileImageIsContained|TestRunWhilePruned|TestComingAndGoing|TestFileHogs|TestVolumes|TestTerminal|TestInherited|TestRights)$")
}

// becomeRanged shows this process lists of users that have one more, becomes him, and
// begins anew.
func becomeRanged() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	ids := fmt.Sprintf("%d:%d:%d\n", ranged, rangedFirst, rangedCount)
	for name, line := range map[string]string{
		"/etc/passwd": fmt.Sprintf("ranged:x:%d:%[1]d::/nonexistent:/bin/sh\n", ranged), "/etc/subuid": ids, "/etc/subgid": ids,
	} {
		was, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		with := filepath.Join(os.Getenv("TMPDIR"), filepath.Base(name))
		if err := os.WriteFile(with, append(was, line...), 0o644); err != nil {
			return err
		}
		if err := syscall.Mount(with, name, "", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(ranged), syscall.Setuid(ranged)); err != nil {
		return err
	}
	env := slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, asRanged) })
	return syscall.Exec("/proc/self/exe", os.Args, env)
}

// isRanged tells whether this user has a range of ids.
func isRanged() bool { return os.Geteuid() == ranged }

// hasUsers tells whether containers have other users than root.
func hasUsers() bool { return os.Geteuid() == 0 || isRanged() }

// Users of a container who are not its root are others on the machine too, and what
// they leave goes with the container.
func TestRange(t *testing.T) {
	if !isRanged() {
		return
	}
	w := newWorld(t)
	closed := folder("home")
	closed.Uid, closed.Gid, closed.Mode = 1000, 1000, 0o700
	i := image(t, blob(t, closed))
	w.says("1000 1000 [50 1000]\n", i, container.Spec{User: "alice", Dir: "/home"}, "/probe", "id")
	w.says("/home/x ok\n", i, container.Spec{User: "alice"}, "/probe", "write", "/home/x")
	w.says("deep\n", i, container.Spec{User: "alice", Dir: "/home"}, "/probe", "deep", "200")
	w.says("/home drwx------ 1000 1000\n", i, container.Spec{}, "/probe", "stat", "/home")
	w.says("65536 65536 [65536]\n", i, container.Spec{User: "65536:65536"}, "/probe", "id")
	for _, user := range []string{"65537", "0:65537", "4294967294"} {
		if r := w.run(i, container.Spec{User: user}, "/probe", "id"); r.code != container.CodeFailed || r.err == nil || !strings.Contains(r.err.Error(), "is beyond the ids that /etc/subuid and /etc/subgid give") {
			t.Errorf("%s: code %d, %v", user, r.code, r.err)
		}
	}
	// What an unpacking has left that died is theirs as well.
	layers := filepath.Join(w.dir, "layers")
	dead := filepath.Join(layers, ".unpacking-dead")
	all, err := os.ReadDir(layers)
	if err = errors.Join(err, os.Mkdir(dead, 0o700), os.Rename(filepath.Join(layers, all[0].Name()), dead+"/one"), os.Rename(filepath.Join(layers, all[1].Name()), dead+"/other")); err != nil {
		t.Fatal(err)
	}
	w.says("1000 1000 [50 1000]\n", i, container.Spec{User: "alice"}, "/probe", "id")
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what an unpacking has left: %v", err)
	}
	if pruned, err := w.store.Prune(t.Context(), nil, false); err != nil || pruned.Layers != 2 {
		t.Errorf("%+v, %v", pruned, err)
	}
}
