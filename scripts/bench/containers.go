package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// startTurns is how often a container is started that takes hardly any time.
const startTurns = 15

// runTrue measures how long a container takes that does nothing, its image unpacked.
func (b *bench) runTrue() error {
	p, err := b.launch(ours, "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(p.root)
	defer p.stop()
	root, err := b.trueRoot("root")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	name := p.addr + "/true:1"
	if err := b.assemble(name, root); err != nil {
		return err
	}
	stopDocker, err := b.dockerd()
	if err != nil {
		return err
	}
	defer stopDocker()
	if err := exec.Command("docker", "pull", "-q", name).Run(); err != nil {
		return fmt.Errorf("docker pull: %w", err)
	}
	bundle, err := b.bundle(root)
	if err != nil {
		return err
	}
	defer os.RemoveAll(bundle)
	all, err := rounds(startTurns, []client{{name: mine}, {name: "docker"}, {name: "runc"}}, func(c client, round int) (run, error) {
		return b.call(map[string][]string{
			mine:     {b.shibafu, "run", name, "true"},
			"docker": {"docker", "run", "--rm", "--network", "none", name, "true"},
			"runc":   {"runc", "--root", filepath.Join(b.work, "runc"), "run", "--bundle", bundle, fmt.Sprint("bench", round)},
		}[c.name], within)
	})
	if err != nil {
		return err
	}
	wall := b.containers(all, mine, "docker", "runc")
	b.atMost("time / docker's", wall[mine]/wall["docker"], 0.15)
	b.atMost("time / runc's", wall[mine]/wall["runc"], 1.3)
	return nil
}

// runFirst measures how long it takes to run an image of which nothing is here.
func (b *bench) runFirst() error {
	const layers = 4
	p, err := b.launch(ours, "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(p.root)
	defer p.stop()
	root, err := b.trueRoot("root")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	folders := []string{root}
	for i := range layers {
		folder, err := b.noise(i, int64(float64(50<<20)*min(1, b.scale)))
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder)
		folders = append(folders, folder)
	}
	name := p.addr + "/first:1"
	if err := b.assemble(name, folders...); err != nil {
		return err
	}
	all, err := rounds(turns, []client{{name: mine}, {name: "podman"}}, func(c client, _ int) (run, error) {
		fresh := filepath.Join(b.work, "fresh")
		defer os.RemoveAll(fresh)
		defer syscall.Unmount(filepath.Join(fresh, "root/overlay"), syscall.MNT_DETACH) // which podman leaves
		return b.call(map[string][]string{
			mine: {b.shibafu, "run", "--progress", "none", "--store", filepath.Join(fresh, "images"), "--state", filepath.Join(fresh, "run"), name, "true"},
			"podman": {"podman", "--root", filepath.Join(fresh, "root"), "--runroot", filepath.Join(fresh, "runroot"), "--storage-driver", "overlay",
				"--events-backend", "file", "--cgroup-manager", "cgroupfs", "run", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--tls-verify=false", "--network", "none", "--rm", name, "true"},
		}[c.name], within)
	})
	if err != nil {
		return err
	}
	wall := b.containers(all, mine, "podman")
	b.atMost("time / podman's", wall[mine]/wall["podman"], 1)
	return nil
}

// containers prints the medians, and returns the times in seconds.
func (b *bench) containers(all map[string][]run, names ...string) map[string]float64 {
	wall := map[string]float64{}
	for _, name := range names {
		m := medians(all[name])
		wall[name] = m.wall.Seconds()
		fmt.Printf("  %-16s %7.1f ms  CPU of the command %6.1f ms  peak %5.1f MiB\n", name, m.wall.Seconds()*1000, m.cpu.Seconds()*1000, m.peak)
	}
	return wall
}

// trueRoot is a folder with the program true and what it needs: nothing.
func (b *bench) trueRoot(name string) (string, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return "", err
	}
	root := filepath.Join(b.work, name)
	for _, folder := range []string{"bin", "etc", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			return "", err
		}
	}
	from, err := os.Open(busybox)
	if err != nil {
		return "", err
	}
	defer from.Close()
	to, err := os.OpenFile(filepath.Join(root, "bin/true"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(to, from); err != nil {
		return "", err
	}
	return root, to.Close()
}

// noise is a folder with files that do not get smaller.
func (b *bench) noise(seed int, size int64) (string, error) {
	const files = 50
	folder := filepath.Join(b.work, fmt.Sprint("noise", seed))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	random := rand.NewChaCha8([32]byte{byte(seed)})
	for i := range files {
		f, err := os.Create(filepath.Join(folder, fmt.Sprintf("layer%d-file%d", seed, i)))
		if err != nil {
			return "", err
		}
		if _, err := io.CopyN(f, random, size/files); err != nil {
			return "", err
		}
		if err := f.Close(); err != nil {
			return "", err
		}
	}
	return folder, nil
}

// assemble makes an image of folders and pushes it.
func (b *bench) assemble(name string, folders ...string) error {
	var layers []string
	for _, folder := range folders {
		layer := filepath.Base(folder)
		if _, err := b.call([]string{b.shibafu, "layer", "add", layer, folder}, within); err != nil {
			return err
		}
		layers = append(layers, layer)
	}
	_, err := b.call([]string{b.shibafu, "push", "--progress", "none", "--layers", strings.Join(layers, ","), "--env", "PATH=/bin", name}, within)
	return err
}

// bundle is what runc runs: a folder and the usual configuration.
func (b *bench) bundle(root string) (string, error) {
	bundle := filepath.Join(b.work, "bundle")
	if err := os.MkdirAll(bundle, 0o755); err != nil {
		return "", err
	}
	spec := exec.Command("runc", "spec")
	spec.Dir = bundle
	if out, err := spec.CombinedOutput(); err != nil {
		return "", fmt.Errorf("runc spec: %w: %s", err, out)
	}
	config := filepath.Join(bundle, "config.json")
	raw, err := os.ReadFile(config)
	if err != nil {
		return "", err
	}
	text := strings.NewReplacer(`"terminal": true`, `"terminal": false`, `"sh"`, `"/bin/true"`, `"path": "rootfs"`, fmt.Sprintf(`"path": %q`, root)).Replace(string(raw))
	return bundle, os.WriteFile(config, []byte(text), 0o644)
}
