package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"shibafu.dev/step6-client/cmdline"
	"shibafu.dev/step7-security/admin"
	"shibafu.dev/step7-security/adminhttp"
)

// question is what "registry policy test" is about.
type question struct {
	user, robot, oidc, certificate string
	anonymous                      bool
	groups, claims                 listOf
	repository, action, file       string
}

// policyTest is "registry policy test".
func policyTest(fs *flag.FlagSet) action {
	var q question
	fs.StringVar(&q.user, "user", "", "`name` of the user who asks")
	fs.StringVar(&q.robot, "robot", "", "`name` of the robot")
	fs.StringVar(&q.oidc, "oidc", "", "`name` of whoever another issuer vouches for, without oidc$")
	fs.StringVar(&q.certificate, "certificate", "", "`name` in a client's certificate")
	fs.BoolVar(&q.anonymous, "anonymous", false, "somebody who has not said who it is")
	fs.Var(&q.groups, "group", "`group` that who asks is in, besides those that are known; may be given again")
	fs.Var(&q.claims, "claim", "`key=value` that a token says of who asks; may be given again")
	fs.StringVar(&q.repository, "repo", "", "`repository` that it is about; the registry itself unless told")
	fs.StringVar(&q.action, "action", "", "`action`: pull, create-only, push, delete, catalog or admin")
	fs.StringVar(&q.file, "file", "", "ask the rules in this `file`, rather than those in force")
	asJSON := jsonFlag(fs)
	return lookAfter(fs, func(ctx context.Context, k *keeper, _ []string) error {
		asked, err := q.parse(k.In)
		if err != nil {
			return err
		}
		var answer admin.Answer
		if err := k.ask(ctx, http.MethodPost, "policy/test", asked, &answer); err != nil {
			return err
		}
		if *asJSON {
			err = printJSON(k.Out, answer)
		} else {
			err = k.lines(answer.Explanation)
		}
		if err == nil && !answer.Allowed {
			err = errNo
		}
		return err
	})
}

// parse puts together what was said.
func (q *question) parse(in io.Reader) (admin.Question, error) {
	asked := admin.Question{Groups: q.groups, Repository: q.repository, Action: q.action}
	var subjects []string
	for kind, name := range map[string]string{"user": q.user, "robot": robotName(q.robot), "oidc": q.oidc, "certificate": q.certificate} {
		if name != "" {
			subjects = append(subjects, kind+":"+name)
		}
	}
	if q.anonymous {
		subjects = append(subjects, "anonymous")
	}
	if len(subjects) == 0 && len(q.groups)+len(q.claims) > 0 {
		subjects = []string{"authenticated"}
	}
	if len(subjects) != 1 || q.action == "" {
		return admin.Question{}, fmt.Errorf("%w: want one of --user, --robot, --oidc, --certificate and --anonymous, or --group, and --action", cmdline.ErrUsage)
	}
	asked.Subject = subjects[0]
	for _, claim := range q.claims {
		key, value, ok := strings.Cut(claim, "=")
		if !ok {
			return admin.Question{}, fmt.Errorf("%w: --claim wants key=value", cmdline.ErrUsage)
		}
		if asked.Claims == nil {
			asked.Claims = map[string][]string{}
		}
		asked.Claims[key] = append(asked.Claims[key], value)
	}
	if q.file == "" {
		return asked, nil
	}
	text, err := readText(q.file, in)
	asked.Text = string(text)
	return asked, err
}

// lines prints a text of several lines.
func (k *keeper) lines(text string) error {
	for line := range strings.Lines(text) {
		if err := k.say("%s", strings.TrimSuffix(line, "\n")); err != nil {
			return err
		}
	}
	return nil
}

// readText reads a file, or stdin where it is called "-", as far as the API takes it.
func readText(name string, in io.Reader) ([]byte, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, adminhttp.MaxBody+1))
	if err == nil && len(raw) > adminhttp.MaxBody {
		err = fmt.Errorf("%s: larger than %d bytes", name, adminhttp.MaxBody)
	}
	return raw, err
}

// policyCheck is "registry policy check".
func policyCheck(fs *flag.FlagSet) action {
	return lookAfter(fs, func(ctx context.Context, k *keeper, args []string) error {
		text, err := readText(args[0], k.In)
		if err != nil {
			return err
		}
		var v adminhttp.Verdict
		if err := k.ask(ctx, http.MethodPost, "policy/check", adminhttp.RulesText{Text: string(text)}, &v); err != nil {
			return err
		}
		if !v.Valid {
			if err := k.say("%s", named(args[0], v.Error)); err != nil {
				return err
			}
			return errFaults
		}
		return k.say("%s: can be used", args[0])
	})
}

// named puts a file's name where the API, which does not know it, says "policy".
func named(file, fault string) string {
	if rest, ok := strings.CutPrefix(fault, "policy:"); ok {
		return file + ":" + rest
	}
	return fault
}

// policyShow is "registry policy show".
func policyShow(fs *flag.FlagSet) action {
	return lookAfter(fs, func(ctx context.Context, k *keeper, _ []string) error {
		var text admin.Text
		if err := k.ask(ctx, http.MethodGet, "policy", nil, &text); err != nil {
			return err
		}
		switch {
		case text.Hash == "":
			fmt.Fprintln(k.Err, "there is none: users may pull, push and delete everywhere, others nothing")
		case !text.InForce:
			fmt.Fprintln(k.Err, "it is not in force: "+safe(text.Reason))
		}
		_, err := io.WriteString(k.Out, text.Text)
		return err
	})
}

// policySet is "registry policy set".
func policySet(fs *flag.FlagSet) action {
	return lookAfter(fs, func(ctx context.Context, k *keeper, args []string) error {
		text, err := readText(args[0], k.In)
		if err != nil {
			return err
		}
		var before admin.Text
		if err := k.ask(ctx, http.MethodGet, "policy", nil, &before); err != nil {
			return err
		}
		if _, err := k.api.ReplaceRules(ctx, text, before.Hash); err != nil {
			return fmt.Errorf("%s", named(args[0], plain(err).Error()))
		}
		if k.running {
			return k.say("%s: in force", args[0])
		}
		return k.say("%s: in force once a server runs", args[0])
	})
}
