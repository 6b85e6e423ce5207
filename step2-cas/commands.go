package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/cas"
)

// about says which blob an error is about.
func about(d digest.Digest, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bucket.ErrNotExist):
		return fmt.Errorf("%s is not in the store", d)
	case errors.Is(err, digest.ErrMismatch):
		return fmt.Errorf("%s is damaged", d)
	}
	return err
}

// reading is the store, for looking at it beside a process that may be writing.
func (p *program) reading() (*cas.Store, error) {
	b, err := dir.OpenReadOnly(p.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no store in %s; put makes one", p.root)
	}
	return cas.New(b, layout), err
}

func (p *program) put(ctx context.Context, file string) error {
	b, err := dir.Open(p.root)
	if err != nil {
		return err
	}
	defer b.Close()
	s := cas.New(b, layout)
	in := p.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	d, _, err := s.Put(ctx, in, p.algorithm)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, d)
	return err
}

func (p *program) get(ctx context.Context, d digest.Digest) error {
	s, err := p.reading()
	if err != nil {
		return err
	}
	o, err := s.Open(ctx, d)
	if err != nil {
		return err
	}
	defer o.Close()
	_, err = io.Copy(p.stdout, digest.NewReader(o, d))
	return err
}

func (p *program) stat(ctx context.Context, d digest.Digest) error {
	s, err := p.reading()
	if err != nil {
		return err
	}
	info, err := s.Stat(ctx, d)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "digest  %s\nsize    %d\nfile    %s\nkept    %s\n",
		d, info.Size, filepath.Join(p.root, info.Key), info.ModTime.Format("2006-01-02 15:04:05 MST"))
	return err
}

func (p *program) ls(ctx context.Context) error {
	s, err := p.reading()
	if err != nil {
		return err
	}
	for d, err := range s.All(ctx) {
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(p.stdout, d); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) rm(ctx context.Context, d digest.Digest) error {
	b, err := dir.Open(p.root)
	if err != nil {
		return err
	}
	defer b.Close()
	return cas.New(b, layout).Delete(ctx, d)
}

func (p *program) verify(ctx context.Context) error {
	s, err := p.reading()
	if err != nil {
		return err
	}
	checked, damaged := 0, 0
	for d, err := range s.Verify(ctx) {
		if d.IsZero() {
			return err
		}
		checked++
		if err == nil {
			continue
		}
		damaged++
		if !errors.Is(err, digest.ErrMismatch) {
			err = fmt.Errorf("%s cannot be read: %w", d, err)
		}
		fmt.Fprintln(p.stdout, about(d, err))
	}
	if _, err := fmt.Fprintf(p.stdout, "%d checked, %d damaged\n", checked, damaged); err != nil {
		return err
	}
	if damaged > 0 {
		return errDamaged
	}
	return nil
}
