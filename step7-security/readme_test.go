package main

import (
	"testing"

	"shibafu.dev/step1-spec-notes/guidetest"
)

func TestREADME(t *testing.T) {
	guidetest.Run(t, guidetest.Guide{
		Commands: 70,
		Ports:    []string{"5007", "5017"},
		Varies:   []string{`"password": "[^"]*"`, `"kid":"[^"]*"`, `"version":"[^"]*"`, `agent=curl/\S*`, `Cipher is .*`},
	})
}
