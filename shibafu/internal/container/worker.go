package container

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"shibafu.dev/shibafu/internal/container/inside"
	"shibafu.dev/shibafu/internal/container/userns"
	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/layer"
)

// workerName is what the program is called when it unpacks or removes files for
// somebody who is not root, as root of a user namespace.
const workerName = "shibafu-worker"

// requestFile is where a worker finds what it is to do.
const requestFile = userns.GateFile + 1

// request is what a worker does: it unpacks a layer, whose bytes come in as its
// standard input, or removes a folder, or what unpackings have left in one.
type request struct {
	Target     string         `json:"target,omitzero"`
	Descriptor oci.Descriptor `json:"descriptor,omitzero"`
	DiffID     digest.Digest  `json:"diffID,omitzero"`
	Lower      []string       `json:"lower,omitzero"`
	Remove     string         `json:"remove,omitzero"`
	Sweep      string         `json:"sweep,omitzero"`
}

// exists is the exit code of a worker that found the target there.
const exists = 3

// Reenter is what the program begins with. done is true where this process was started
// as a part of a container's life, which it has lived then, and ends with code.
func Reenter() (code int, done bool) {
	switch {
	case inside.Is():
		return inside.Main(), true
	case len(os.Args) > 0 && os.Args[0] == workerName:
		return workerMain(), true
	}
	return 0, false
}

// work has a worker do something in a user namespace.
func (s *Store) work(ctx context.Context, r request, in io.Reader) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	file, err := inherited("request", raw)
	if err != nil {
		return err
	}
	defer file.Close()
	var says bytes.Buffer
	cmd := exec.CommandContext(ctx, s.program)
	cmd.Args, cmd.Env = []string{workerName}, []string{}
	cmd.Stdin, cmd.Stderr = in, &says
	cmd.ExtraFiles = []*os.File{file}
	if err := s.mapping.Start(cmd, 0, nil); err != nil {
		return err
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit) && exit.ExitCode() == exists:
		return fs.ErrExist
	case says.Len() > 0:
		return errors.New(says.String())
	}
	return fmt.Errorf("unpacking in a user namespace: %w", err)
}

func workerMain() int {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM) // who started us decides
	err := userns.Enter()
	if err == nil {
		err = doRequest(os.NewFile(requestFile, "request"))
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return exists
	case err != nil:
		fmt.Fprint(os.Stderr, err)
		return 1
	}
	return 0
}

func doRequest(f *os.File) error {
	var r request
	if err := json.NewDecoder(f).Decode(&r); err != nil {
		return err
	}
	switch {
	case r.Remove != "":
		return layer.Remove(r.Remove)
	case r.Sweep != "":
		return layer.Sweep(r.Sweep)
	}
	b := layer.Blob{Descriptor: r.Descriptor, DiffID: r.DiffID, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(os.Stdin), nil
	}}
	return layer.Unpack(context.Background(), r.Target, b, layer.Options{UserXattr: true, Lower: r.Lower})
}
