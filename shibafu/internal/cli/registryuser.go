package cli

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"strings"

	"shibafu.dev/step7-security/admin"
	"shibafu.dev/step7-security/adminhttp"
)

// userAdd is "registry user add".
func userAdd(fs *flag.FlagSet) action {
	var from passwordFlags
	var groups listOf
	from.define(fs)
	fs.Var(&groups, "group", "`group` that the user is in; may be given again")
	return lookAfter(fs, func(ctx context.Context, k *keeper, args []string) error {
		password, printed, err := from.choose(ctx, k.Streams)
		if err != nil {
			return err
		}
		u := admin.NewUser{Name: args[0], Password: password, Groups: groups}
		if err := k.ask(ctx, http.MethodPost, "users", u, nil); err != nil {
			return fmt.Errorf("%s: %w", u.Name, err)
		}
		return k.show(printed, "%s: added", u.Name)
	})
}

// userPassword is "registry user passwd".
func userPassword(fs *flag.FlagSet) action {
	var from passwordFlags
	from.define(fs)
	return lookAfter(fs, func(ctx context.Context, k *keeper, args []string) error {
		password, printed, err := from.choose(ctx, k.Streams)
		if err != nil {
			return err
		}
		if err := k.ask(ctx, http.MethodPut, adminhttp.Path("users", args[0], "password"), adminhttp.NewPassword{Password: password}, nil); err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		return k.show(printed, "%s: has another password", args[0])
	})
}

// show prints a secret alone, so that it can be passed on, and beside it what was done.
func (k *keeper) show(secret, format string, args ...any) error {
	if secret == "" {
		return k.say(format, args...)
	}
	fmt.Fprintln(k.Err, safe(fmt.Sprintf(format, args...))+"; this is shown once:")
	return k.say("%s", secret)
}

// userRemove is "registry user rm", and userDisable and userEnable are the others.
func userRemove(fs *flag.FlagSet) action {
	return eachUser(fs, "removed", http.MethodDelete)
}

func userDisable(fs *flag.FlagSet) action {
	return eachUser(fs, "disabled", http.MethodPost, "disable")
}

func userEnable(fs *flag.FlagSet) action {
	return eachUser(fs, "enabled", http.MethodPost, "enable")
}

// eachUser asks for something below each user that is named.
func eachUser(fs *flag.FlagSet, done, method string, below ...string) action {
	return lookAfter(fs, func(ctx context.Context, k *keeper, args []string) error {
		return k.each(ctx, args, done, method, func(name string) string {
			return adminhttp.Path(append([]string{"users", name}, below...)...)
		})
	})
}

// userList is "registry user ls".
func userList(fs *flag.FlagSet) action {
	asJSON := jsonFlag(fs)
	return lookAfter(fs, func(ctx context.Context, k *keeper, _ []string) error {
		var list adminhttp.Users
		if err := k.ask(ctx, http.MethodGet, "users", nil, &list); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(k.Out, list.Users)
		}
		return table(k.Out, "NAME\tGROUPS\tSTATE", len(list.Users), func(i int) string {
			u := list.Users[i]
			state := stateOf(u.Disabled)
			if u.Htpasswd {
				state = "htpasswd"
			}
			return cells(u.Name, strings.Join(u.Groups, " "), state)
		})
	})
}

func stateOf(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}

// cells are those of a line of a table; whatever a cell says, it is one.
func cells(texts ...string) string {
	for i, text := range texts {
		texts[i] = safe(text)
	}
	return strings.Join(texts, "\t")
}
