package main

import (
	"testing"

	"shibafu.dev/step1-spec-notes/guidetest"
)

func TestREADME(t *testing.T) {
	guidetest.Run(t, guidetest.Guide{Commands: 40, Ports: []string{"5006"}})
}
