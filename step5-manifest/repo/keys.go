package repo

import (
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
)

// The layout of the CNCF distribution registry, and what we add to it (marked +).
// A link is a small file that holds a digest.
//
//	blobs/                                                  package cas
//	repositories/<name>/
//	  _layers/sha256/<hex>/link                             this repository has this blob
//	  _manifests/
//	    revisions/sha256/<hex>/link                         this repository has this manifest
//	    tags/<tag>/current/link                             what the tag refers to
//	    tags/<tag>/index/sha256/<hex>/link                  what it once referred to
//	  + referrers/sha256/<subject>/sha256/<hex>/link        this manifest has that subject
//	  + referrers/complete                                  no such link is missing
//	  + history/<tag>/<time>-<seq>                          what the tag referred to when, as JSON
const repositories = "repositories/"

func folder(name ref.Name) string { return repositories + name.String() + "/" }

func digestPath(d digest.Digest) string { return string(d.Algorithm()) + "/" + d.Hex() }

func layerKey(name ref.Name, d digest.Digest) string {
	return folder(name) + "_layers/" + digestPath(d) + "/link"
}

func revisionsPrefix(name ref.Name) string { return folder(name) + "_manifests/revisions/" }

func revisionKey(name ref.Name, d digest.Digest) string {
	return revisionsPrefix(name) + digestPath(d) + "/link"
}

func tagsPrefix(name ref.Name) string { return folder(name) + "_manifests/tags/" }

func tagPrefix(name ref.Name, tag ref.Tag) string { return tagsPrefix(name) + tag.String() + "/" }

func tagKey(name ref.Name, tag ref.Tag) string { return tagPrefix(name, tag) + "current/link" }

func tagIndexKey(name ref.Name, tag ref.Tag, d digest.Digest) string {
	return tagPrefix(name, tag) + "index/" + digestPath(d) + "/link"
}

func referrersPrefix(name ref.Name) string { return folder(name) + "_manifests/referrers/" }

func referrersOf(name ref.Name, subject digest.Digest) string {
	return referrersPrefix(name) + digestPath(subject) + "/"
}

func referrerKey(name ref.Name, subject, d digest.Digest) string {
	return referrersOf(name, subject) + digestPath(d) + "/link"
}

func completeKey(name ref.Name) string { return referrersPrefix(name) + "complete" }

func historyPrefix(name ref.Name, tag ref.Tag) string {
	return folder(name) + "_manifests/history/" + tag.String() + "/"
}

// linkedDigest reads the digest out of a key that ends with <algorithm>/<hex>/link.
func linkedDigest(key string) (digest.Digest, bool) {
	parts := strings.Split(key, "/")
	n := len(parts)
	if n < 3 || parts[n-1] != "link" {
		return digest.Digest{}, false
	}
	d, err := digest.Parse(parts[n-3] + ":" + parts[n-2])
	return d, err == nil
}
