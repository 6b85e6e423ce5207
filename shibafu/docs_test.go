package main

import (
	"testing"

	"shibafu.dev/step1-spec-notes/guidetest"
)

func TestClientGuide(t *testing.T) {
	guidetest.Run(t, guidetest.Guide{
		File: "../docs/client.md", Commands: 28, Ports: []string{"5000"},
		Varies: []string{`sha256:[0-9a-f]{12,64}`, `\b[0-9a-f]{12}\b`, ` +[0-9.]+ [kMG]?B\b`, `linux/[a-z0-9]+`, `"(size|done)":\d+`, ` {2,}`},
	})
}

func TestPrivateRegistryGuide(t *testing.T) {
	guidetest.Run(t, guidetest.Guide{
		File: "../docs/operating.md", Commands: 13, Ports: []string{"5000"},
		Varies: []string{`sha256:[0-9a-f]{64}`},
	})
}
