package main

import (
	"slices"
	"testing"
)

func TestPossible(t *testing.T) {
	tag := thing{"tag", "a", "v1"}
	begin := func(m *model, value string) []*write { return m.begin("test", change{tag, value}) }
	for _, tt := range []struct {
		name string
		do   func(m *model)
		want []string
	}{
		{"nothing was asked for", func(m *model) {}, []string{absent}},
		{"one write, acknowledged", func(m *model) { m.ack(begin(m, "one")) }, []string{"one"}},
		{"one write that nobody answered may have been made", func(m *model) { begin(m, "one") }, []string{absent, "one"}},
		{"so may one that failed", func(m *model) { m.failed(begin(m, "one")) }, []string{absent, "one"}},
		{"but not one that was refused", func(m *model) { m.refused(begin(m, "one")) }, []string{absent}},
		{"the later of two", func(m *model) { m.ack(begin(m, "one")); m.ack(begin(m, "two")) }, []string{"two"}},
		{"a write that failed is over", func(m *model) { m.failed(begin(m, "one")); m.ack(begin(m, "two")) }, []string{"two"}},
		{"one without an answer may come late", func(m *model) { begin(m, "one"); m.ack(begin(m, "two")) }, []string{"one", "two"}},
		{"of two at the same time either may be the last", func(m *model) {
			one, two := begin(m, "one"), begin(m, "two")
			m.ack(two)
			m.ack(one)
		}, []string{"one", "two"}},
		{"who relies on an answer is owed it", func(m *model) {
			begin(m, "one")
			m.rely(tag, "one", "test", m.mark())
		}, []string{"one"}},
		{"a crash has decided", func(m *model) { begin(m, "one"); m.decide(tag, absent) }, []string{absent}},
	} {
		m := newModel()
		tt.do(m)
		if got := m.possible(tag, m.mark()); !slices.Equal(got, tt.want) {
			t.Errorf("%s: possible are %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Who asked before an acknowledgement may be told what was true then.
func TestPossibleForAnEarlierQuestion(t *testing.T) {
	m, tag := newModel(), thing{"tag", "a", "v1"}
	asked := m.mark()
	m.ack(m.begin("test", change{tag, "one"}))
	if wrong := m.saw(tag, absent, asked); wrong != "" {
		t.Error(wrong)
	}
	if m.saw(tag, absent, m.mark()) == "" {
		t.Error("a lost write goes unnoticed")
	}
}

func TestRelyTellsWhoIsFirst(t *testing.T) {
	m, blob := newModel(), thing{"blob", "a", "sha256:…"}
	ws := m.begin("test", change{blob, present})
	if !m.rely(blob, present, "test", m.mark()) {
		t.Error("nobody had acknowledged it, and it is not the first time it was seen")
	}
	m.ack(ws)
	if m.rely(blob, present, "test", m.mark()) {
		t.Error("it was acknowledged, and seen, and still it is the first time")
	}
}

func TestExcused(t *testing.T) {
	m := newModel()
	cut := change{thing{"blob", "a/b", "sha256:11"}, present}
	m.begin("test", cut)
	m.decide(cut.thing, absent)
	tag := change{thing{"manifest", "a/b", "sha256:22"}, present}
	m.begin("test", tag)
	m.decide(tag.thing, absent)
	m.ack(m.begin("test", change{thing{"blob", "a/b", "sha256:33"}, present}))
	for _, tt := range []struct {
		line string
		want bool
		why  string
	}{
		{"a/b: blob sha256:11: its bytes are missing", true, "nobody acknowledged it"},
		{"a/b: referrer sha256:22: the manifest is missing or has another subject", true, "nobody acknowledged the manifest"},
		{"a/b: blob sha256:33: its bytes are missing", false, "it was acknowledged"},
		{"a: blob sha256:11: its bytes are missing", false, "another repository"},
		{"blob sha256:11: content does not match its digest", false, "damaged bytes"},
		{"a/b: manifest sha256:22: refers to sha256:11, which is missing; push it again", false, "a manifest came before its blobs"},
	} {
		if _, got := excused(m, tt.line); got != tt.want {
			t.Errorf("%s (%s): excused %v", tt.line, tt.why, got)
		}
	}
	m.ack(m.begin("test", cut))
	if _, ok := excused(m, "a/b: blob sha256:11: its bytes are missing"); ok {
		t.Error("a fault is excused although the push was acknowledged since")
	}
}
