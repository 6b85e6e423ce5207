package main

import (
	"fmt"
	"io"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
)

// check says whether text follows a grammar, and what it is made of.
func check(grammar, text string, stdout, stderr io.Writer) int {
	var parts [][2]string
	var err error
	switch grammar {
	case "digest":
		parts, err = digestParts(text)
	case "name":
		parts, err = nameParts(text)
	case "tag":
		parts, err = tagParts(text)
	case "ref":
		parts, err = refParts(text)
	default:
		return misused(stderr, "check knows digest, name, tag and ref, not "+printable(grammar))
	}
	if err != nil {
		fmt.Fprintln(stdout, err)
		return exitInvalid
	}
	fmt.Fprintln(stdout, "valid", grammar)
	for _, part := range parts {
		row(stdout, part[0], part[1])
	}
	return exitOK
}

func digestParts(text string) ([][2]string, error) {
	d, err := digest.Parse(text)
	return [][2]string{
		{"algorithm", string(d.Algorithm())},
		{"hex", d.Hex()},
	}, err
}

func nameParts(text string) ([][2]string, error) {
	n, err := ref.ParseName(text)
	return [][2]string{
		{"parts", strings.ReplaceAll(n.String(), "/", ", ")},
		{"length", fmt.Sprintf("%d of at most %d bytes", len(text), ref.MaxNameLen)},
	}, err
}

func tagParts(text string) ([][2]string, error) {
	_, err := ref.ParseTag(text)
	return [][2]string{
		{"length", fmt.Sprintf("%d of at most %d bytes", len(text), ref.MaxTagLen)},
	}, err
}

func refParts(text string) (parts [][2]string, err error) {
	r, err := ref.ParseReference(text)
	if err != nil {
		return nil, err
	}
	part := func(key, value, absent string) {
		if value == "" {
			value = absent
		}
		parts = append(parts, [2]string{key, value})
	}
	part("host", r.Host, "none; docker would take docker.io")
	part("name", r.Name.String(), "")
	switch {
	case r.Tag.IsZero() && r.Digest.IsZero():
		part("tag", "", "none; clients take latest")
	case r.Digest.IsZero():
		part("tag", r.Tag.String(), "")
		part("means", "whatever the tag points at when it is asked", "")
	default:
		part("tag", r.Tag.String(), "none")
		part("digest", r.Digest.String(), "")
		part("means", "these bytes and no others; a tag beside a digest is a remark", "")
	}
	return parts, nil
}
