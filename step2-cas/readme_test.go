package main

import (
	"testing"

	"shibafu.dev/step1-spec-notes/guidetest"
)

func TestREADME(t *testing.T) {
	guidetest.Run(t, guidetest.Guide{
		Commands: 42,
		Env:      []string{"SHIBAFU_CAS_ROOT=", "XDG_DATA_HOME=" + t.TempDir()},
	})
}
