package apitest

import (
	"fmt"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
)

// Lists are tags, repositories and referrers, whole and in pages.
func Lists() []Exchange { return slices.Concat(tags(), catalog(), referrers()) }

// list wants a list at target.
func list(name, target, want string) Exchange {
	return Exchange{Name: name, Method: "GET", Target: target, Status: 200, WantJSON: want,
		Want: map[string]string{"Content-Type": "application/json", "Link": ""}}
}

// page is list with another page behind it, which is saved as {next}.
func page(name, target, want string) Exchange {
	e := list(name, target, want)
	e.Want["Link"], e.Save = `~<[^<>]+>; rel="next"`, map[string]string{"Link": "next"}
	return e
}

func tags() []Exchange {
	s, all := newSample("tags")
	document := s.image("")
	push := s.push(sha256Of(document), oci.MediaTypeImageManifest, document).named("push six tags", "")
	push.Target += "?tag=b&tag=a10&tag=_x&tag=a2&tag=B&tag=9"
	sorted := []string{"9", "B", "_x", "a10", "a2", "b"} // byte order, as Go's sort.Strings has it
	target := tagsOf(s.name)
	return append(all, list("tags of a repository without tags", target, tagList(s.name)).named("no tags yet", "[] and never null"),
		push,
		list("all tags", target, tagList(s.name, sorted...)),
		page("first page", target+"?n=2", tagList(s.name, sorted[:2]...)),
		page("second page", "{next}", tagList(s.name, sorted[2:4]...)),
		list("last page", "{next}", tagList(s.name, sorted[4:]...)),
		list("exactly all", target+"?n=6", tagList(s.name, sorted...)),
		list("more than there are", target+"?n=7", tagList(s.name, sorted...)),
		list("more than any number can hold", target+"?n=1"+strings.Repeat("0", 30), tagList(s.name, sorted...)),
		list("none", target+"?n=0", tagList(s.name)).named("n=0", "an empty list, and no Link"),
		list("n=0 with last", target+"?n=0&last=a2", tagList(s.name)),
		list("after a tag", target+"?last=a10", tagList(s.name, sorted[4:]...)),
		list("after what is no tag", target+"?last=a1", tagList(s.name, sorted[3:]...)).named("last need not exist", "it is a cursor"),
		list("after what cannot be a tag", target+"?last=%2F", tagList(s.name, sorted...)),
		page("page after a tag", target+"?n=1&last=a10", tagList(s.name, "a2")),
		list("after the last", target+"?last=b", tagList(s.name)),
		list("after everything", target+"?n=5&last=zzz", tagList(s.name)),
		list("unknown parameter", target+"?x=y", tagList(s.name, sorted...)),
	)
}

func catalog() []Exchange {
	parent := freshName("")
	// Byte order of the whole name: '-' comes before '/', and '.' between them.
	names := []string{parent + "a", parent + "a-b", parent + "a.b", parent + "a/b", parent + "a/b/c", parent + "aa"}
	var all []Exchange
	for _, name := range names {
		config := fresh("{}")
		document := image(config, config, "")
		all = append(all, pushBlob(name, config), pushManifest(name, "v1", oci.MediaTypeImageManifest, document))
	}
	want := func(names ...string) string { return `{"repositories":` + quoted(names) + `}` }
	from := strings.TrimSuffix(parent, "/") + "."
	all = append(all,
		page("two repositories", "/v2/_catalog"+query("n", "2", "last", from), want(names[:2]...)),
		page("two more", "{next}", want(names[2:4]...)),
		list("n=0", "/v2/_catalog?n=0", want()),
		list("none after the last name", "/v2/_catalog"+query("last", strings.Repeat("z", 255)), want()))
	next := list("the last two", "{next}", want(names[4:]...))
	next.Want = nil // other repositories may follow
	return append(all, next)
}

func referrers() []Exchange {
	s, all := newSample("referrers")
	subject := s.image("")
	d := sha256Of(subject)
	ofSubject := `,"subject":` + descriptor(oci.MediaTypeImageManifest, subject, "")
	note := `,"annotations":{"org.example.note":"hello"}`
	none := list("nobody refers", referrersOf(s.name, d), index(""))
	none.Want["Content-Type"] = oci.MediaTypeImageIndex
	all = append(all, none.named("no referrers", "an empty index, with this exact type: a 404 would say that there is no such API"))

	// Pushed before their subject: an artifact with a type of its own, one whose
	// config has the type, an index.
	signature := s.image(ofSubject + note + `,"artifactType":"application/vnd.example.signature"`)
	sbom := s.image(ofSubject)
	list3 := index(ofSubject + note)
	found := []string{
		descriptor(oci.MediaTypeImageManifest, signature, `,"artifactType":"application/vnd.example.signature"`+note),
		descriptor(oci.MediaTypeImageManifest, sbom, fmt.Sprintf(`,"artifactType":%q`, oci.MediaTypeImageConfig)),
		descriptor(oci.MediaTypeImageIndex, list3, note),
	}
	slices.SortFunc(found, func(a, b string) int { return strings.Compare(digestIn(a), digestIn(b)) })
	for tag, e := range map[string]Exchange{
		"signature": s.push("signature", oci.MediaTypeImageManifest, signature),
		"sbom":      s.push(sha256Of(sbom), oci.MediaTypeImageManifest, sbom),
		"index":     s.push(sha256Of(list3), oci.MediaTypeImageIndex, list3),
	} {
		e.Want["OCI-Subject"] = d
		all = append(all, e.named("push "+tag, "the subject comes later; OCI-Subject says that the registry saw it"))
	}
	plain := s.push("subject", oci.MediaTypeImageManifest, subject)
	plain.Want["OCI-Subject"] = ""
	target := referrersOf(s.name, d)
	filtered := list("filtered", target+query("artifactType", "application/vnd.example.signature"), index("", one(found, signature)))
	byConfig := list("filtered by the config's type", target+query("artifactType", oci.MediaTypeImageConfig), index("", one(found, sbom)))
	nothing := list("filtered to nothing", target+query("artifactType", "application/x"), index(""))
	for _, e := range []*Exchange{&filtered, &byConfig, &nothing} {
		e.Want["OCI-Filters-Applied"] = "artifactType"
	}
	pages := []Exchange{
		page("first page", target+"?n=1", index("", found[0])), page("second page", "{next}", index("", found[1])), list("last page", "{next}", index("", found[2])),
		filtered, byConfig, nothing,
		page("filtered page", target+query("n", "1", "artifactType", ""), index("", found[0])).named("an empty filter", "is none"),
		list("referrers of a referrer", referrersOf(s.name, sha256Of(sbom)), index("")),
		list("referrers of nothing", referrersOf(s.name, sha256Of(fresh("x"))), index("")),
		list("referrers of a sha512", referrersOf(s.name, sha512Of("x")), index("")),
		list("referrers in no repository", referrersOf(freshName("unknown"), d), index("")),
		list("containerd's and oras' probe", referrersOf(s.name, "sha256:"+strings.Repeat("0", 64)), index("")),
	}
	for i := range pages {
		pages[i].Want["Content-Type"] = oci.MediaTypeImageIndex
	}
	whole := none.named("all referrers", "with their types and annotations")
	whole.WantJSON = index("", found...)
	removed := none.named("referrers without the signature", "")
	removed.WantJSON = index("", slices.DeleteFunc(slices.Clone(found), func(x string) bool { return digestIn(x) == sha256Of(signature) })...)
	return append(append(append(all, whole.named("referrers before their subject", ""), plain, whole), pages...),
		Exchange{Name: "delete the signature", Method: "DELETE", Target: manifestOf(s.name, sha256Of(signature)), Status: 202}, removed,
		missing("GET", manifestOf(s.name, "signature"), ocierr.ManifestUnknown))
}

// digestIn finds the digest of a descriptor.
func digestIn(descriptor string) string {
	_, rest, _ := strings.Cut(descriptor, `"digest":"`)
	return rest[:len("sha256:")+64]
}

// one is the descriptor of a document.
func one(descriptors []string, document string) string {
	return descriptors[slices.IndexFunc(descriptors, func(d string) bool { return digestIn(d) == sha256Of(document) })]
}
