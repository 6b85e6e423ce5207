package strictjson_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"shibafu.dev/step7-security/internal/strictjson"
)

type document struct {
	Name string         `json:"name"`
	Sub  map[string]int `json:"sub"`
}

func TestDecode(t *testing.T) {
	var d document
	if err := strictjson.Decode([]byte(" {\"name\": \"x\", \"sub\": {\"A\": 1, \"b\": 2}}\n"), &d); err != nil || d.Name != "x" || d.Sub["A"] != 1 {
		t.Errorf("Decode = %+v, %v", d, err)
	}
}

func TestDecodeNamesTheLine(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", "line 1: not a JSON object"},
		{"array", "[]", "line 1: not a JSON object"},
		{"not JSON", "{\n\"name\": x}", "line 2: not JSON: invalid character 'x' looking for beginning of value"},
		{"cut", "{\n\"name\":", "line 2: the document ends early"},
		{"twice", "{\"name\": \"a\",\n\n\"name\": \"b\"}", `line 3: "name" is there twice`},
		{"twice, escaped", "{\"name\": \"a\",\n\"n\\u0061me\": \"b\"}", `line 2: "name" is there twice`},
		{"twice in other letters", "{\"sub\": {\"a\": 1,\n\"A\": 1}}", `line 2: "A" is there twice`},
		{"twice below", "{\"sub\":\n{\"a\": 1, \"a\": 1}}", `line 2: "a" is there twice`},
		{"unknown", "{\"name\": \"nme\",\n\"nme\": 1}", `line 2: unknown field "nme"`},
		{"type", "{\n\"name\": 1}", "line 2: name is a number"},
		{"UTF-8", "{\n\"name\": \"\xff\"}", "line 2: not UTF-8"},
		{"behind the end", "{}\n{}", "line 2: something follows the end"},
		{"a comma behind the end", "{},", "line 1: something follows the end"},
		{"deep", strings.Repeat(`{"sub":`, 17), "line 1: nested too deeply"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := strictjson.Decode([]byte(tt.text), new(document))
			if err == nil || err.Error() != tt.want {
				t.Errorf("Decode = %v, want %s", err, tt.want)
			}
		})
	}
}

func TestLines(t *testing.T) {
	lines := strictjson.Lines([]byte("{\"a\": {\n\"b\": [{\"c\": 1}],\n\"d\": 2},\n\"e\": {}}"))
	for path, want := range map[string]int{"a": 1, "a/b": 2, "a/b/c": 2, "a/d": 3, "e": 4} {
		if lines[path] != want {
			t.Errorf("%s is on line %d, want %d", path, lines[path], want)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"a": [1, {"b": null}], "c": "\u0061"}`))
	f.Add([]byte(`{"a": 1, "A": 1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		err := strictjson.Check(raw)
		if e := new(strictjson.Error); err != nil && !errors.As(err, &e) {
			t.Fatal(err)
		}
		if err == nil && !json.Valid(raw) {
			t.Fatalf("%q is not JSON", raw)
		}
	})
}
