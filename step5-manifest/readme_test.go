package main

import (
	"testing"

	"shibafu.dev/step1-spec-notes/guidetest"
)

func TestREADME(t *testing.T) {
	guidetest.Run(t, guidetest.Guide{
		Commands: 74,
		Ports:    []string{"5005", "5015"},
		Varies:   []string{`"time":"[^"]*"`},
	})
}
