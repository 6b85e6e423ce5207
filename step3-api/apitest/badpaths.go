package apitest

import (
	"strings"

	"shibafu.dev/step1-spec-notes/ocierr"
)

// BadPaths are paths that are refused for what they look like, and methods that
// no path has. They need no repository, and no endpoint but the base.
func BadPaths() []Exchange {
	var list []Exchange
	name := func(what, name, reason string) {
		list = append(list, Exchange{Name: "name " + what, Reason: reason, Method: "GET", Target: "/v2/" + name + "/tags/list", Status: 400, Code: ocierr.NameInvalid})
	}
	const grammar = "not of the grammar of names"
	name("in capitals", "UPPER", grammar)
	name("with two dots", "a..b", grammar)
	name("led by a dash", "-a", grammar)
	name("with three underscores", "a___b", grammar)
	name("ended by a slash", "a/", "would be redirected to another repository")
	name("with NUL", "a%00b", grammar)
	name("with a newline", "a%0ab", grammar)
	name("overlong UTF-8", "a%c0%afb", "a slash in a coding that no reader should know")
	name("in UTF-8", "\xc3\xa9", grammar)
	name("empty", "", grammar)
	name("of 256 bytes", strings.Repeat("a", 256), "longer than clients and file systems can carry")
	name("of 10000 bytes", strings.Repeat("a/", 5000)+"a", "longer than clients and file systems can carry")
	name("with two slashes", "a//b", "would be redirected to another repository")
	name("with dot segments", "a/../b", "would be redirected to another repository")
	name("with a dot segment", "a/./b", "would be redirected to another repository")
	name("that climbs out", "..", grammar)
	name("with encoded dot segments", "a/%2e%2e/b", "a dot segment, encoded or not")
	name("with mixed dot segments", "a/.%2E/b", "a dot segment, encoded or not")
	name("with an encoded slash", "a%2fb", "another name to whoever looks at the raw path")
	name("with an encoded slash in capitals", "a%2Fb", "another name to whoever looks at the raw path")
	name("with an encoded backslash", "a%5cb", grammar)
	name("with a backslash", `a\b`, grammar)
	name("with a space", "a%20b", grammar)
	name("encoded twice", "a%252fb", grammar)
	list = append(list, badReferences()...)
	list = append(list, badMethods()...)
	return append(list, noPaths()...)
}

func badReferences() []Exchange {
	hex := strings.Repeat("ab", 32)
	var list []Exchange
	digest := func(what, digest string) {
		for _, target := range []string{"/v2/a/blobs/", "/v2/a/manifests/"} {
			list = append(list, Exchange{Name: target[6:] + " digest " + what, Reason: "not of the grammar of digests", Method: "GET",
				Target: target + digest, Status: 400, Code: ocierr.DigestInvalid})
		}
	}
	digest("short", "sha256:"+hex[:62])
	digest("of 65 digits", "sha256:"+hex+"a")
	digest("in capitals", "sha256:"+strings.ToUpper(hex))
	digest("of an old algorithm", "md5:"+hex[:32])
	digest("of an unknown algorithm", "sha3:"+hex)
	digest("of zs", "sha256:zz")
	digest("that climbs out", "sha256:..%2f..%2fetc%2fpasswd")
	digest("with NUL", "sha256:"+hex[:62]+"%00a")
	digest("without hex", "sha256:")
	list = append(list, Exchange{Name: "blob by a tag", Method: "GET", Target: "/v2/a/blobs/latest", Status: 400, Code: ocierr.DigestInvalid},
		Exchange{Name: "blob by nothing", Method: "GET", Target: "/v2/a/blobs/", Status: 400, Code: ocierr.DigestInvalid})
	for _, tag := range []string{strings.Repeat("t", 129), ".x", "-x", "a%20b", "a%2fb", "%2e%2e", "", "%00", "\xc3\xa9", "a@b"} {
		list = append(list, missing("GET", "/v2/a/manifests/"+tag, ocierr.ManifestUnknown).named("tag "+short(tag), "what cannot be a tag names no manifest"))
	}
	return list
}

func badMethods() []Exchange {
	d := sha256Of("x")
	refused := func(method, target string) Exchange {
		return Exchange{Name: method + " " + target, Reason: "no endpoint has this method", Method: method, Target: target,
			Status: 405, Code: ocierr.Unsupported, Want: map[string]string{"Allow": "~[A-Z, ]*"}}
	}
	return []Exchange{
		refused("POST", "/v2/"), refused("DELETE", "/v2/"), refused("OPTIONS", "/v2/"), refused("TRACE", "/v2/"), refused("CONNECT", "/v2/"),
		refused("POST", "/v2/a/manifests/latest"), refused("PATCH", "/v2/a/manifests/latest"),
		refused("PUT", blobOf("a", d)), refused("POST", blobOf("a", d)), refused("TRACE", blobOf("a", d)), refused("CONNECT", blobOf("a", d)),
		refused("PUT", "/v2/a/tags/list"), refused("DELETE", "/v2/_catalog"), refused("POST", referrersOf("a", d)),
		refused("GET", uploadsOf("a")), refused("BREW", "/v2/"), refused("get", "/v2/"),
	}
}

func noPaths() []Exchange {
	var list []Exchange
	for _, target := range []string{"/", "/v1/", "/v3/", "/v2x/", "/v2/a", "/v2/a/", "/v2/a/b/c", "/v2/a/tags", "/v2/a/tags/list/", "/v2/_catalog/",
		"/v2/a/blobs/uploads/x/y", "//v2/", "/favicon.ico", "/v2%2f", "/%76%32/", "/V2/"} {
		list = append(list, missing("GET", target, ocierr.Unsupported).named("path "+target, "no endpoint has it; a redirect would lead elsewhere"))
	}
	return append(list,
		missing("OPTIONS", "*", ocierr.Unsupported).named("OPTIONS *", "answered like everything else"),
		Exchange{Name: "target of 64 KiB", Method: "GET", Target: "/v2/" + strings.Repeat("a", 64<<10) + "/tags/list", Status: 414, Code: ocierr.Unsupported},
		Exchange{Name: "query of 64 KiB", Method: "GET", Target: "/v2/?" + strings.Repeat("a", 64<<10), Status: 414, Code: ocierr.Unsupported},
	)
}
