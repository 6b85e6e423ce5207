package cli

import (
	"context"
	"flag"
	"fmt"
	"runtime/debug"
)

// version is "version".
func version(*flag.FlagSet) action {
	return func(_ context.Context, _ []string, s Streams) error {
		info, _ := debug.ReadBuildInfo()
		_, err := fmt.Fprintln(s.Out, versionOf(info))
		return err
	}
}

// versionOf says what the program was built from, as far as that is known.
func versionOf(info *debug.BuildInfo) string {
	if info == nil {
		return "shibafu (unknown)"
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	text := "shibafu"
	if v := info.Main.Version; v != "" {
		text += " " + v
	}
	if revision := set["vcs.revision"]; revision != "" {
		text += fmt.Sprintf(" commit %.12s of %s", revision, set["vcs.time"])
	}
	if set["vcs.modified"] == "true" {
		text += ", changed since"
	}
	return text + " " + info.GoVersion + " " + set["GOOS"] + "/" + set["GOARCH"]
}
