package repo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step5-manifest/manifest"
)

// Fault is something that Check found.
type Fault struct {
	Name ref.Name
	// What is the thing at fault: "tag v1", "blob sha256:…".
	What string
	// Problem says what is wrong with it.
	Problem string
	// Mended is what was done about it, "" if nothing was.
	Mended string
}

// String is one line.
func (f Fault) String() string {
	line := f.Name.String() + ": " + f.What + ": " + f.Problem
	if f.Mended != "" {
		line += " (" + f.Mended + ")"
	}
	return line
}

// Check holds all links of all repositories against what they lead to, and hands
// each fault to report. With repair it removes what leads nowhere and rewrites
// what can be told from the rest. It does not read blobs through: that is
// cas.Verify's, which comes first, as a blob that is removed leaves links behind.
func (s *Store) Check(ctx context.Context, repair bool, report func(Fault)) error {
	if repair {
		defer s.known.clear() // what is remembered may be among what is at fault
	}
	var names []ref.Name
	if err := s.walkNames(ctx, repositories, func(name ref.Name) { names = append(names, name) }); err != nil {
		return err
	}
	for _, name := range names {
		c := checker{Store: s, ctx: ctx, name: name, repair: repair, report: report}
		if err := c.run(); err != nil {
			return fmt.Errorf("checking %s: %w", name, err)
		}
	}
	return nil
}

type checker struct {
	*Store
	ctx    context.Context
	name   ref.Name
	repair bool
	report func(Fault)
}

func (c checker) run() error {
	lock := c.repositories.of(c.name.String())
	lock.Lock()
	defer lock.Unlock()
	for _, step := range []func() error{c.layers, c.revisions, c.tags, c.referrers} {
		if err := step(); err != nil {
			return err
		}
	}
	if c.repair {
		c.noticeEmpty(c.ctx, c.name)
	}
	return nil
}

// fault reports, after it mended what can be.
func (c checker) fault(what, problem, mended string, changes ...bucket.Change) error {
	f := Fault{Name: c.name, What: what, Problem: problem}
	if c.repair && len(changes) > 0 {
		c.manifests.clear()
		c.tagLists.remove(c.name)
		if err := c.bucket.Write(c.ctx, changes...); err != nil {
			return err
		}
		f.Mended = mended
	}
	c.report(f)
	return nil
}

// links calls check for each link below a prefix whose bytes are there. The
// others, and links that hold something else than their own name, are faults.
func (c checker) links(prefix, kind string, check func(d digest.Digest, key string) error) error {
	for info, err := range c.bucket.List(c.ctx, prefix, "", false) {
		if err != nil {
			return err
		}
		d, ok := linkedDigest(info.Key)
		if !ok {
			continue
		}
		if err := c.link(kind, info.Key, d, check); err != nil {
			return err
		}
	}
	return nil
}

func (c checker) link(kind, key string, d digest.Digest, check func(d digest.Digest, key string) error) error {
	what := kind + " " + d.String()
	_, err := c.blobs.Stat(c.ctx, d)
	if errors.Is(err, bucket.ErrNotExist) {
		return c.fault(what, "its bytes are missing", "link removed", bucket.Change{Key: key, Delete: true})
	}
	if err != nil {
		return err
	}
	got, _, err := c.readLink(c.ctx, key)
	if err != nil && !errors.Is(err, digest.ErrInvalid) {
		return err
	}
	if got != d {
		if err := c.fault(what, "its link is damaged", "link rewritten", bucket.Change{Key: key, Data: []byte(d.String())}); err != nil {
			return err
		}
	}
	return check(d, key)
}

func (c checker) layers() error {
	return c.links(folder(c.name)+"_layers/", "blob", func(digest.Digest, string) error { return nil })
}

func (c checker) revisions() error {
	return c.links(revisionsPrefix(c.name), "manifest", func(d digest.Digest, key string) error {
		what := "manifest " + d.String()
		raw, err := c.readManifest(c.ctx, d)
		if errors.Is(err, digest.ErrMismatch) {
			return c.fault(what, "its bytes are damaged", "link removed", bucket.Change{Key: key, Delete: true})
		}
		if err != nil {
			return err
		}
		m, err := manifest.Parse("", raw)
		if err != nil {
			return c.fault(what, err.Error(), "")
		}
		return c.children(what, m)
	})
}

func (c checker) children(what string, m *manifest.Manifest) error {
	var missing *MissingError
	switch err := c.checkChildren(c.ctx, c.name, m); {
	case errors.As(err, &missing):
		for _, child := range missing.Missing {
			if err := c.fault(what, "refers to "+child.Digest.String()+", which is missing; push it again", ""); err != nil {
				return err
			}
		}
		return nil
	case errors.Is(err, manifest.ErrInvalid):
		return c.fault(what, err.Error(), "")
	default:
		return err
	}
}

func (c checker) tags() error {
	prefix := tagsPrefix(c.name)
	for info, err := range c.bucket.List(c.ctx, prefix, "", true) {
		if err != nil {
			return err
		}
		text := strings.TrimSuffix(info.Key[len(prefix):], "/")
		tag, err := ref.ParseTag(text)
		if err != nil {
			if err := c.fault("tag "+fmt.Sprintf("%q", text), "not a tag", ""); err != nil {
				return err
			}
			continue
		}
		if err := c.tag(tag); err != nil {
			return err
		}
	}
	return nil
}

func (c checker) tag(tag ref.Tag) error {
	d, _, err := c.readLink(c.ctx, tagKey(c.name, tag))
	problem := ""
	switch {
	case errors.Is(err, bucket.ErrNotExist):
		problem = "its link is missing"
	case errors.Is(err, digest.ErrInvalid):
		problem = "its link is damaged"
	case err != nil:
		return err
	default:
		_, err := c.bucket.Stat(c.ctx, revisionKey(c.name, d))
		if err == nil {
			return nil
		}
		if !errors.Is(err, bucket.ErrNotExist) {
			return err
		}
		problem = "refers to manifest " + d.String() + ", which is missing"
	}
	var rest []bucket.Change
	for info, err := range c.bucket.List(c.ctx, tagPrefix(c.name, tag), "", false) {
		if err != nil {
			return err
		}
		rest = append(rest, bucket.Change{Key: info.Key, Delete: true})
	}
	if len(rest) == 0 {
		return nil // an empty folder; only a program that lists folders sees it
	}
	return c.fault("tag "+tag.String(), problem, "tag removed; its history says what it referred to", rest...)
}

// referrers holds the index against the manifests, both ways. An index that does
// not claim to be complete lacks nothing: it is built when it is first needed.
func (c checker) referrers() error {
	wanted, err := c.wantedReferrers()
	if err != nil {
		return err
	}
	for info, err := range c.bucket.List(c.ctx, referrersPrefix(c.name), "", false) {
		if err != nil {
			return err
		}
		d, ok := linkedDigest(info.Key)
		if !ok {
			continue
		}
		if _, ok := wanted[info.Key]; !ok {
			err := c.fault("referrer "+d.String(), "the manifest is missing or has another subject", "link removed", bucket.Change{Key: info.Key, Delete: true})
			if err != nil {
				return err
			}
		}
		delete(wanted, info.Key)
	}
	if _, err := c.bucket.Stat(c.ctx, completeKey(c.name)); err != nil {
		if errors.Is(err, bucket.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		d := wanted[key]
		err := c.fault("referrer "+d.String(), "not in the index of referrers", "link written", bucket.Change{Key: key, Data: []byte(d.String())})
		if err != nil {
			return err
		}
	}
	return nil
}

// wantedReferrers are the links that the manifests of the repository call for.
func (c checker) wantedReferrers() (map[string]digest.Digest, error) {
	wanted := map[string]digest.Digest{}
	for info, err := range c.bucket.List(c.ctx, revisionsPrefix(c.name), "", false) {
		if err != nil {
			return nil, err
		}
		d, ok := linkedDigest(info.Key)
		if !ok {
			continue
		}
		subject, err := c.subject(c.ctx, d)
		if err != nil {
			return nil, err
		}
		if !subject.IsZero() {
			wanted[referrerKey(c.name, subject, d)] = d
		}
	}
	return wanted, nil
}
