package unotify_test

import (
	"testing"
	"time"

	unotify "libunotify/go"
)

func TestAProbeTellsWhatWorksHere(t *testing.T) {
	guard(t, patience)
	fds := descriptors(t)
	works, parts, err := unotify.Probe(10 * time.Second)
	must(t, err)
	if !works || len(parts) < 5 {
		t.Error(works, parts)
	}
	for _, part := range parts {
		if part.Name == "" || part.IsBasic && part.Outcome != unotify.ProbeWorks {
			t.Errorf("%+v", part)
		}
	}
	if now := descriptors(t); now > fds {
		t.Errorf("%d descriptors became %d", fds, now)
	}
	_, _, err = unotify.Probe(0)
	wantError(t, err, unotify.ErrInvalidArgument)
}
