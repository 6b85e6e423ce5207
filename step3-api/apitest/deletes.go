package apitest

import (
	"slices"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
)

func remove(name, target string) Exchange {
	return Exchange{Name: name, Method: "DELETE", Target: target, Status: 202}
}

func deleting() []Exchange {
	s, list := newSample("deleting")
	first, second := s.image(""), s.image(`,"annotations":{"n":"2"}`)
	d := sha256Of(first)
	push := s.push(d, oci.MediaTypeImageManifest, first).named("push three tags", "")
	push.Target += "?tag=a&tag=b&tag=c"
	tagsNow := func(tags ...string) Exchange {
		return Exchange{Name: "tags", Method: "GET", Target: tagsOf(s.name), Status: 200, WantJSON: tagList(s.name, tags...)}
	}
	unknown := func(method, reference string) Exchange {
		return missing(method, manifestOf(s.name, reference), ocierr.ManifestUnknown)
	}
	layer := blobOf(s.name, sha256Of(s.layer))
	return slices.Concat(list, []Exchange{
		push,
		s.push("other", oci.MediaTypeImageManifest, second),
		remove("delete a tag", manifestOf(s.name, "a")),
		unknown("GET", "a"), unknown("HEAD", "a"), unknown("DELETE", "a"),
		s.served(d, oci.MediaTypeImageManifest, first).named("what the tag referred to", "stays"),
		tagsNow("b", "c", "other"),
		remove("delete a manifest", manifestOf(s.name, d)).named("delete a manifest", "with all tags that refer to it"),
		unknown("GET", d), unknown("GET", "b"), unknown("GET", "c"), unknown("DELETE", d),
		tagsNow("other"),
		s.served("other", oci.MediaTypeImageManifest, second).named("another manifest", "stays"),
		{Name: "a blob of what was deleted", Reason: "stays", Method: "GET", Target: layer, Status: 200, WantBody: s.layer},
		remove("delete the last tag", manifestOf(s.name, "other")),
		tagsNow(),
		push.named("push again", ""), tagsNow("a", "b", "c"), s.served("a", oci.MediaTypeImageManifest, first),
		remove("delete a blob", layer),
		missing("GET", layer, ocierr.BlobUnknown), missing("HEAD", layer, ocierr.BlobUnknown), missing("DELETE", layer, ocierr.BlobUnknown),
		pushBlob(s.name, s.layer).named("push the blob again", ""),
		{Name: "the blob is back", Method: "GET", Target: layer, Status: 200, WantBody: s.layer},
		unknown("DELETE", "no-such-tag"),
		unknown("DELETE", sha256Of(fresh("x"))),
		missing("DELETE", blobOf(s.name, sha256Of(fresh("x"))), ocierr.BlobUnknown),
		missing("DELETE", manifestOf(freshName("unknown"), "tag"), ocierr.NameUnknown),
		missing("DELETE", manifestOf(freshName("unknown"), d), ocierr.NameUnknown),
		missing("DELETE", blobOf(freshName("unknown"), d), ocierr.NameUnknown),
	})
}

// Isolation tries to reach, from one repository, what only another one has.
func Isolation() []Exchange {
	s, list := newSample("secret")
	secret := s.image("")
	d, layer := sha256Of(secret), sha256Of(s.layer)
	mine, config := freshName("mine"), fresh("{}")
	names := image(config, s.layer, "") // refers to a layer of the other repository
	ranged := missing("GET", blobOf(mine, layer), ocierr.BlobUnknown).named("blob in ranges", "")
	ranged.Header = []string{"Range: bytes=0-1"}
	conditional := missing("GET", blobOf(mine, layer), ocierr.BlobUnknown).named("blob under a condition", "a 304 tells that it is there")
	conditional.Header = []string{`If-None-Match: "` + layer + `"`}
	fromMine := Exchange{Name: "mount from a repository that has it not", Method: "POST", Target: uploadsOf(freshName("third")) + "?mount=" + layer + "&from=" + mine,
		Status: 202}
	refusedIndex := pushManifest(mine, "index", oci.MediaTypeImageIndex, index("", descriptor(oci.MediaTypeImageManifest, secret, "")))
	return append(list,
		s.push("v1", oci.MediaTypeImageManifest, secret),
		pushBlob(mine, config),
		missing("GET", blobOf(mine, layer), ocierr.BlobUnknown), missing("HEAD", blobOf(mine, layer), ocierr.BlobUnknown), ranged, conditional,
		missing("DELETE", blobOf(mine, layer), ocierr.BlobUnknown),
		missing("GET", manifestOf(mine, d), ocierr.ManifestUnknown), missing("HEAD", manifestOf(mine, d), ocierr.ManifestUnknown),
		missing("GET", manifestOf(mine, "v1"), ocierr.ManifestUnknown),
		missing("DELETE", manifestOf(mine, d), ocierr.ManifestUnknown),
		missing("GET", blobOf(s.name, d), ocierr.BlobUnknown).named("a manifest as a blob", "it was not pushed as one"),
		fromMine,
		pushManifest(mine, "v1", oci.MediaTypeImageManifest, names).refused(400, ocierr.ManifestBlobUnknown).named("a manifest that names the blob", ""),
		refusedIndex.refused(400, ocierr.ManifestBlobUnknown).named("an index that names the manifest", ""),
		Exchange{Name: "the blob where it belongs", Method: "GET", Target: blobOf(s.name, layer), Status: 200, WantBody: s.layer},
	)
}
