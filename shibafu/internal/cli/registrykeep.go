package cli

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"time"

	"shibafu.dev/step6-client/report"
	"shibafu.dev/step7-security/adminhttp"
)

// sessionList is "registry sessions ls".
func sessionList(fs *flag.FlagSet) action {
	asJSON := jsonFlag(fs)
	return ofServer(fs, func(ctx context.Context, k *keeper, _ []string) error {
		var list adminhttp.SessionList
		if err := k.ask(ctx, http.MethodGet, "sessions", nil, &list); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(k.Out, list.Sessions)
		}
		return table(k.Out, "ID\tREPOSITORY\tSIZE\tSTARTED\tLAST REQUEST\tOWNER", len(list.Sessions), func(i int) string {
			s := list.Sessions[i]
			last := when(s.Touched)
			if s.Active {
				last = "now"
			}
			return cells(s.ID, s.Repository.String(), report.Size(s.Bytes), when(s.Started), last, s.Owner)
		})
	})
}

// sessionCancel is "registry sessions cancel".
func sessionCancel(fs *flag.FlagSet) action {
	return ofServer(fs, func(ctx context.Context, k *keeper, args []string) error {
		return k.each(ctx, args, "cancelled", http.MethodDelete, func(id string) string { return adminhttp.Path("sessions", id) })
	})
}

// stats is "registry stats".
func stats(fs *flag.FlagSet) action {
	asJSON := jsonFlag(fs)
	return ofServer(fs, func(ctx context.Context, k *keeper, _ []string) error {
		var f adminhttp.Figures
		if err := k.ask(ctx, http.MethodGet, "stats", nil, &f); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(k.Out, f)
		}
		lines := [][2]string{
			{"Version", f.Version},
			{"Running for", (time.Duration(f.Uptime) * time.Second).String()},
			{"Asks who comes", map[bool]string{true: "yes", false: "no: all may do all"}[f.Authentication]},
		}
		if f.Sessions != nil {
			lines = append(lines, [2]string{"Open uploads", fmt.Sprint(*f.Sessions)})
		}
		if s := f.Stored; s != nil {
			lines = append(lines, [2]string{"Stored", fmt.Sprintf("%s in %d blobs, counted %s", report.Size(s.Bytes), s.Blobs, when(s.Counted))})
		}
		if d := f.Disk; d != nil {
			lines = append(lines, [2]string{"Disk", fmt.Sprintf("%s free of %s", report.Size(d.Free), report.Size(d.Total))})
		}
		for _, l := range lines {
			if err := k.say("%-14s  %s", l[0], l[1]); err != nil {
				return err
			}
		}
		return nil
	})
}

// logLevel is "registry log-level".
func logLevel(fs *flag.FlagSet) action {
	return ofServer(fs, func(ctx context.Context, k *keeper, args []string) error {
		var level adminhttp.Level
		var err error
		if len(args) == 0 {
			err = k.ask(ctx, http.MethodGet, "log-level", nil, &level)
		} else {
			err = k.ask(ctx, http.MethodPut, "log-level", adminhttp.Level{Level: args[0]}, &level)
		}
		if err != nil {
			return err
		}
		return k.say("%s", level.Level)
	})
}

// reload is "registry reload".
func reload(fs *flag.FlagSet) action {
	return ofServer(fs, func(ctx context.Context, k *keeper, _ []string) error {
		var answer adminhttp.Reloaded
		if err := k.ask(ctx, http.MethodPost, "reload", nil, &answer); err != nil {
			return err
		}
		return k.results(answer.Results, "read again")
	})
}

// health is "registry health".
func health(fs *flag.FlagSet) action {
	return ofServer(fs, func(ctx context.Context, k *keeper, _ []string) error {
		var h adminhttp.Health
		if err := k.ask(ctx, http.MethodGet, "health", nil, &h); err != nil {
			return err
		}
		return k.results(h.Checks, "well")
	})
}

// results prints how each thing went, and returns errFaults if one did not go well.
func (k *keeper) results(list []adminhttp.Result, well string) (err error) {
	for _, r := range list {
		how := well
		if !r.OK {
			how, err = r.Error, errFaults
		}
		if failed := k.say("%s: %s", r.Name, how); failed != nil {
			return failed
		}
	}
	return err
}

// keyList is "registry keys ls".
func keyList(fs *flag.FlagSet) action {
	asJSON := jsonFlag(fs)
	return lookAfter(fs, func(ctx context.Context, k *keeper, _ []string) error {
		var list adminhttp.KeyList
		if err := k.ask(ctx, http.MethodGet, "keys", nil, &list); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(k.Out, list.Keys)
		}
		return table(k.Out, "ID\tALGORITHM\tMADE\tUSE", len(list.Keys), func(i int) string {
			key := list.Keys[i]
			use := map[bool]string{true: "signs", false: "verifies"}[key.Signs]
			return cells(key.ID, key.Algorithm, when(key.Made), use)
		})
	})
}

// keyRotate is "registry keys rotate".
func keyRotate(fs *flag.FlagSet) action {
	return lookAfter(fs, func(ctx context.Context, k *keeper, _ []string) error {
		var list adminhttp.KeyList
		if err := k.ask(ctx, http.MethodPost, "keys", nil, &list); err != nil {
			return err
		}
		return k.say("%s: signs from now on", list.Keys[0].ID)
	})
}
