package cli

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"strings"

	"shibafu.dev/step6-client/cmdline"
)

// The scripts ask the program itself, so that they know what the table of commands
// knows, and what is here.
var (
	//go:embed shells/completion.bash
	bashScript string
	//go:embed shells/completion.zsh
	zshScript string
	//go:embed shells/completion.fish
	fishScript string
)

// shells are those that there is a script for.
func shells() map[string]string {
	return map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}
}

// completion is "completion".
func completion(*flag.FlagSet) action {
	return func(_ context.Context, args []string, s Streams) error {
		script, ok := shells()[args[0]]
		if !ok {
			return fmt.Errorf("%w: no script for %q: want bash, zsh or fish", cmdline.ErrUsage, args[0])
		}
		_, err := io.WriteString(s.Out, script)
		return err
	}
}

// completeName is what the scripts call. After it come the words of the command line as
// far as it is written, the last of them perhaps empty. It prints what more may stand
// there, on the first line, and then the words that go on, each with a tab and what it
// is for.
const completeName = "__complete"

// What more may stand there than words.
const (
	onlyWords = ":words"
	files     = ":files"
	folders   = ":folders"
)

// completed is what may stand in the place of a word.
type completed struct {
	more  string
	words []string // with what they are for behind a tab
}

// complete answers a script. What goes wrong is nothing to complete.
func complete(ctx context.Context, args []string, s Streams) int {
	if len(args) == 0 {
		args = []string{""}
	}
	before, word := args[:len(args)-1], args[len(args)-1]
	found := completeWord(ctx, before, word)
	fmt.Fprintln(s.Out, found.more)
	for _, w := range found.words {
		if strings.HasPrefix(w, word) {
			fmt.Fprintln(s.Out, w)
		}
	}
	return cmdline.ExitOK
}

func completeWord(ctx context.Context, before []string, word string) completed {
	c, rest, ok := find(before)
	if !ok {
		return completed{onlyWords, commandWords(before)}
	}
	p := &partial{command: c, flags: newFlags(c.name, io.Discard)}
	c.define(p.flags)
	p.read(rest)
	switch name, value, hasValue := strings.Cut(word, "="); {
	case p.foreign: // the words are another program's
		return completed{more: files}
	case p.awaits != nil:
		return p.value(ctx, p.awaits, word, "")
	case !p.ended && hasValue && strings.HasPrefix(word, "-"):
		if f := p.flags.Lookup(strings.TrimLeft(name, "-")); f != nil {
			return p.value(ctx, f, value, name+"=")
		}
	case !p.ended && strings.HasPrefix(word, "-"):
		return completed{onlyWords, p.flagWords()}
	}
	return p.argument(ctx)
}

// commandWords are the words that may follow in the name of a command.
func commandWords(before []string) (all []string) {
	have := ""
	for _, w := range before {
		if !strings.HasPrefix(w, "-") {
			have += w + " "
		}
	}
	seen := map[string]bool{}
	for _, c := range commands() {
		rest, ok := strings.CutPrefix(c.name, have)
		next, more, _ := strings.Cut(rest, " ")
		if !ok || seen[next] {
			continue
		}
		seen[next] = true
		what := c.what
		if more != "" {
			what = strings.ToLower(c.group)
		}
		all = append(all, next+"\t"+what)
	}
	return all
}
