package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/layout"
	"shibafu.dev/step6-client/place"
	"shibafu.dev/step6-client/transfer"

	"shibafu.dev/shibafu/internal/store"
)

// advise says what may be done about an error, in one line; "" if nobody knows.
func advise(err error, c command) string {
	var about *subject
	name := "IMAGE"
	if errors.As(err, &about) {
		name = about.name
	}
	r, wrong := place.Complete(name)
	if wrong != nil {
		r = ref.Reference{}
	}
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, context.Canceled) && c.resumes:
		return "What came is kept: the same command goes on with it."
	case errors.Is(err, store.ErrLayer):
		return "shibafu layer add NAME FOLDER makes one, shibafu layer ls lists what is here."
	case errors.Is(err, layout.ErrUnknown) && !place.IsRegistry(name):
		return ""
	case errors.Is(err, layout.ErrUnknown) && (r.Name.IsZero() || isDigest(name)):
		return "shibafu images lists what is here."
	case errors.Is(err, layout.ErrUnknown):
		return fmt.Sprintf("shibafu pull %s fetches it, shibafu images lists what is here.", safe(name))
	case c.name == "login" && errors.Is(err, ocierr.Unauthorized):
		return "The name or the password is not right; some registries want a token in the place of the password."
	case errors.Is(err, ocierr.Unauthorized), errors.Is(err, ocierr.Denied):
		return fmt.Sprintf("shibafu login %s keeps a name and password for it.", host(r))
	case errors.Is(err, ocierr.ManifestUnknown):
		return fmt.Sprintf("shibafu tags %s lists the tags that there are.", repository(r))
	case errors.Is(err, transfer.ErrPlatform):
		return fmt.Sprintf("shibafu inspect %s lists the platforms, --platform names another one.", safe(name))
	case errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/":
		return "It speaks http: --plain-http does so too."
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "--ca FILE trusts the authority whose certificate is in the file."
	}
	return ""
}

func isDigest(text string) bool {
	_, err := digest.Parse(text)
	return err == nil
}

// host is that of a reference, or the word for one.
func host(r ref.Reference) string {
	if r.Host == "" {
		return "HOST"
	}
	return r.Host
}

// repository is where a reference points, without its tag.
func repository(r ref.Reference) string {
	if r.Name.IsZero() {
		return "REPOSITORY"
	}
	return ref.Reference{Host: r.Host, Name: r.Name}.String()
}
