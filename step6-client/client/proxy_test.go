package client_test

import (
	"testing"

	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step3-api/apitest"
)

// A registry whose handlers stand on a client of another registry answers as that
// one does, to all that there is to ask.
func TestProxy(t *testing.T) {
	upstream := serve(t, registry(t))
	proxy := serve(t, handler(t, mem.New(), portsOf(newClient(t, upstream, impatient))))
	apitest.Registry(t, "http://"+proxy)
}
