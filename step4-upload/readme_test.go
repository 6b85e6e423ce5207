package main

import (
	"testing"

	"shibafu.dev/step1-spec-notes/guidetest"
)

func TestREADME(t *testing.T) {
	guidetest.Run(t, guidetest.Guide{
		Commands: 57,
		Ports:    []string{"5004", "5014"},
		Varies:   []string{`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`},
	})
}
