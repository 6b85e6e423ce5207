package cli

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"strings"

	"shibafu.dev/step7-security/adminhttp"
)

// groupAdd is "registry group add".
func groupAdd(fs *flag.FlagSet) action {
	return lookAfter(fs, func(ctx context.Context, k *keeper, args []string) error {
		return k.members(ctx, args[0], args[1:], http.MethodPut, "is in it")
	})
}

// groupRemove is "registry group rm": of members, or, where none is named, of the group.
func groupRemove(fs *flag.FlagSet) action {
	return lookAfter(fs, func(ctx context.Context, k *keeper, args []string) error {
		if len(args) > 1 {
			return k.members(ctx, args[0], args[1:], http.MethodDelete, "is in it no more")
		}
		return k.each(ctx, args, "removed", http.MethodDelete, func(name string) string { return adminhttp.Path("groups", name) })
	})
}

// members asks for something about members of a group.
func (k *keeper) members(ctx context.Context, group string, members []string, method, done string) error {
	for _, member := range members {
		if err := k.ask(ctx, method, adminhttp.Path("groups", group, "members", member), nil, nil); err != nil {
			return fmt.Errorf("%s: %s: %w", group, member, err)
		}
		if err := k.say("%s: %s %s", group, member, done); err != nil {
			return err
		}
	}
	return nil
}

// groupList is "registry group ls".
func groupList(fs *flag.FlagSet) action {
	asJSON := jsonFlag(fs)
	return lookAfter(fs, func(ctx context.Context, k *keeper, _ []string) error {
		var list adminhttp.Groups
		if err := k.ask(ctx, http.MethodGet, "groups", nil, &list); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(k.Out, list.Groups)
		}
		return table(k.Out, "NAME\tMEMBERS", len(list.Groups), func(i int) string {
			return cells(list.Groups[i].Name, strings.Join(list.Groups[i].Members, " "))
		})
	})
}
