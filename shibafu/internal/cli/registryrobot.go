package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"shibafu.dev/step7-security/admin"
	"shibafu.dev/step7-security/adminhttp"
	"shibafu.dev/step7-security/auth"
)

// expiry is a flag for when something expires: "" is not said, and admin.Never never.
type expiry string

func (e *expiry) String() string { return string(*e) }

func (e *expiry) Set(text string) error {
	at, err := parseExpiry(text, time.Now())
	if err == nil {
		*e = expiry(at)
	}
	return err
}

// parseExpiry reads "90d", "12h", a date or a time, or "never", and returns what the API
// takes.
func parseExpiry(text string, now time.Time) (string, error) {
	if text == admin.Never {
		return text, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil && n > 0 {
			return now.UTC().AddDate(0, 0, int(n)).Format(time.RFC3339), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.UTC().Add(d).Format(time.RFC3339), nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC().Format(time.RFC3339), nil
		}
	}
	return "", errors.New("want 90d, 12h, 2006-01-02, or never")
}

const expiresHelp = "`when` its secret expires: in 90d or 12h, on a day such as 2006-01-02, or never"

// robotAdd is "registry robot add".
func robotAdd(fs *flag.FlagSet) action {
	var expires expiry
	var groups listOf
	fs.Var(&expires, "expires", expiresHelp+" (default never)")
	note := fs.String("note", "", "`text` that says what it is for")
	fs.Var(&groups, "group", "`group` that the robot is in; may be given again")
	return lookAfter(fs, func(ctx context.Context, k *keeper, args []string) error {
		r := admin.NewRobot{Name: robotName(args[0]), Note: *note, Expires: string(expires), Groups: groups}
		var made admin.Secret
		if err := k.ask(ctx, http.MethodPost, "robots", r, &made); err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
		return k.show(made.Secret, "%s: added, %s", made.Login, expiresOn(made.Expires))
	})
}

// robotRenew is "registry robot renew".
func robotRenew(fs *flag.FlagSet) action {
	var expires expiry
	fs.Var(&expires, "expires", expiresHelp+" (as long as before unless told)")
	return lookAfter(fs, func(ctx context.Context, k *keeper, args []string) error {
		var made admin.Secret
		name := robotName(args[0])
		if err := k.ask(ctx, http.MethodPost, adminhttp.Path("robots", name, "renew"), adminhttp.Renewal{Expires: string(expires)}, &made); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return k.show(made.Secret, "%s: has another secret, %s", made.Login, expiresOn(made.Expires))
	})
}

// robotName is a robot's name, which may be given as it logs in.
func robotName(text string) string {
	if name, ok := auth.RobotName(text); ok {
		return name
	}
	return text
}

func expiresOn(t time.Time) string {
	if t.IsZero() {
		return "never expires"
	}
	return "expires on " + when(t)
}

// robotRemove is "registry robot rm", and robotDisable and robotEnable are the others.
func robotRemove(fs *flag.FlagSet) action {
	return eachRobot(fs, "removed", http.MethodDelete)
}

func robotDisable(fs *flag.FlagSet) action {
	return eachRobot(fs, "disabled", http.MethodPost, "disable")
}

func robotEnable(fs *flag.FlagSet) action {
	return eachRobot(fs, "enabled", http.MethodPost, "enable")
}

func eachRobot(fs *flag.FlagSet, done, method string, below ...string) action {
	return lookAfter(fs, func(ctx context.Context, k *keeper, args []string) error {
		return k.each(ctx, args, done, method, func(name string) string {
			return adminhttp.Path(append([]string{"robots", robotName(name)}, below...)...)
		})
	})
}

// robotList is "registry robot ls".
func robotList(fs *flag.FlagSet) action {
	asJSON := jsonFlag(fs)
	return lookAfter(fs, func(ctx context.Context, k *keeper, _ []string) error {
		var list adminhttp.Robots
		if err := k.ask(ctx, http.MethodGet, "robots", nil, &list); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(k.Out, list.Robots)
		}
		return table(k.Out, "NAME\tGROUPS\tSTATE\tEXPIRES\tLAST USE\tNOTE", len(list.Robots), func(i int) string {
			r := list.Robots[i]
			state := stateOf(r.Disabled)
			if !r.Expires.IsZero() && !time.Now().Before(r.Expires) {
				state = "expired"
			}
			return cells(r.Login, strings.Join(r.Groups, " "), state, when(r.Expires), when(r.LastUse), r.Note)
		})
	})
}

// when is a time for people, "never" for none.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04 MST")
}
