package adminhttp_test

import (
	"log/slog"
	"strings"
	"testing"

	"shibafu.dev/step7-security/adminhttp"
)

func TestRotateKeys(t *testing.T) {
	w := newWorld(t)
	var before, after adminhttp.KeyList
	w.must("GET", "keys", "", &before)
	answer := w.ask("POST", adminhttp.Prefix+"keys", "")
	w.must("GET", "keys", "", &after)
	if answer.Code != 201 || len(before.Keys) != 1 || len(after.Keys) != 2 || !after.Keys[0].Signs || after.Keys[1].Signs || after.Keys[1].ID != before.Keys[0].ID {
		t.Errorf("%d, from %+v to %+v", answer.Code, before, after)
	}
	if told := w.heard(); told != "rotate keys "+after.Keys[0].ID {
		t.Errorf("the audit log is told %q", told)
	}
}

func TestCancelSession(t *testing.T) {
	w := newWorld(t)
	id := w.startUpload("team/app")
	var list adminhttp.SessionList
	w.must("GET", "sessions", "", &list)
	if len(list.Sessions) != 1 || list.Sessions[0].ID != id || list.Sessions[0].Repository.String() != "team/app" || list.Sessions[0].Started.IsZero() {
		t.Fatalf("sessions %+v", list)
	}
	w.must("DELETE", "sessions/"+id, "", nil)
	if left := w.uploads.Sessions(); len(left) != 0 {
		t.Errorf("left over: %+v", left)
	}
	if told := w.heard(); told != "cancel upload "+id {
		t.Errorf("the audit log is told %q", told)
	}
}

func TestSetLevel(t *testing.T) {
	w := newWorld(t)
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelError} {
		w.must("PUT", "log-level", `{"level": "`+strings.ToLower(level.String())+`"}`, nil)
		if w.level.Level() != level {
			t.Errorf("the level is %v, want %v", w.level.Level(), level)
		}
	}
}
