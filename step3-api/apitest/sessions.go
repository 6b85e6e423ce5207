package apitest

import (
	"net/url"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/ocierr"
)

// mounts take a blob over from another repository, or start a session where that
// cannot be.
func mounts() []Exchange {
	name, source := freshName("mounted"), freshName("source")
	content, absent := fresh("to be mounted"), fresh("nowhere")
	d := sha256Of(content)
	mount := func(what, reason, digest, from string) Exchange {
		e := Exchange{Name: what, Reason: reason, Method: "POST", Target: uploadsOf(name) + "?mount=" + digest, Status: 201,
			Want: map[string]string{"Location": at(blobOf(name, digest)), "Docker-Content-Digest": digest}}
		if from != "" {
			e.Target += "&from=" + url.QueryEscape(from)
		}
		return e
	}
	session := func(e Exchange) Exchange {
		e.Status, e.Want, e.Save = 202, progressAt(name, 0), map[string]string{"Location": "upload"}
		return e
	}
	list := []Exchange{pushBlob(source, content), mount("mount", "", d, source)}
	list = append(list, pulled(name, d, content)...)
	return append(list,
		mount("mount again", "", d, source),
		mount("anonymous mount", "what was pushed or mounted lately is found without saying where", d, ""),
		session(mount("mount of what the source has not", "a session, not an error", sha256Of(absent), source)),
		finish(name, absent, absent).named("PUT to the session of a mount", "it can be used like any other"),
		session(mount("mount from an unknown repository", "same as from one without the blob", sha256Of(fresh("x")), freshName("unknown"))),
		session(mount("mount from no name", "same", sha256Of(fresh("x")), "../UPPER")),
		session(mount("mount of an unknown sha512", "the session expects that algorithm", sha512Of(fresh("x")), source)),
		session(mount("anonymous mount of nothing", "", sha256Of(fresh("x")), "")),
	)
}

// foreignSession tries to use a session in another repository than its own.
func foreignSession() []Exchange {
	name, other, content := freshName("own"), freshName("foreign"), fresh("session")
	first := patch(name, content[:4], 4)
	first.Save["Docker-Upload-Uuid"] = "id"
	list := []Exchange{pushBlob(other, fresh("so that it exists")), start(name), first}
	for _, e := range gone(content, "changing the repository") {
		e.Target = strings.Replace(e.Target, "{upload}", uploadsOf(other)+"{id}", 1)
		list = append(list, e)
	}
	return append(list, status(name, 4).named("status after that", "nothing happened to it"),
		finish(name, content, content[4:]).named("PUT in its own repository", ""))
}

// cut ends bodies before their time. What came is kept, and the session goes on
// from there.
func cut() []Exchange {
	name, content := freshName("cut"), "0123456789"+fresh("cut")
	d := sha256Of(content)
	broken := func(what, request string, code int) Exchange {
		return Exchange{Name: what, Reason: "not acknowledged, and not lost", Raw: request, Status: code, Code: ocierr.BlobUploadInvalid}
	}
	return slices.Concat([]Exchange{
		start(name),
		broken("PATCH cut", raw("PATCH", "{upload}", content[:3], "Content-Length: 100"), 400),
		status(name, 3),
		broken("PATCH cut with Content-Range", raw("PATCH", "{upload}", content[3:5], "Content-Length: 7", "Content-Range: 3-9"), 400),
		status(name, 5),
		broken("streamed PATCH cut", raw("PATCH", "{upload}", "2\r\n"+content[5:7]+"\r\n", "Transfer-Encoding: chunked"), 400),
		status(name, 7),
		broken("streamed PATCH cut within a chunk", raw("PATCH", "{upload}", "f\r\n"+content[7:8], "Transfer-Encoding: chunked"), 400),
		status(name, 8),
		broken("PUT cut", raw("PUT", "{upload}?digest="+d, content[8:10], "Content-Length: 100"), 400),
		status(name, 10),
		missing("HEAD", blobOf(name, d), "").named("HEAD what is not whole", ""),
		finish(name, content, content[10:]).named("PUT the rest", ""),
	}, pulled(name, d, content))
}
