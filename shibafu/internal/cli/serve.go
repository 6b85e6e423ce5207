package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"shibafu.dev/shibafu/internal/server"
)

// serve is "registry serve".
func serve(fs *flag.FlagSet) action {
	config := server.NewConfig(fs)
	return func(ctx context.Context, _ []string, s Streams) error {
		if err := settle(config, fs, s); err != nil {
			return err
		}
		if config.PrintConfig {
			return config.Print(s.Out, fs)
		}
		return serveWith(ctx, config, s)
	}
}

func serveWith(ctx context.Context, config *server.Config, streams Streams) error {
	level := new(slog.LevelVar)
	level.Set(config.LogLevel)
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(streams.Err, options)
	if config.LogFormat == "json" {
		handler = slog.NewJSONHandler(streams.Err, options)
	}
	s, err := server.Open(ctx, config, slog.New(handler))
	if err != nil {
		return err
	}
	s.LogLevel(level)
	fmt.Fprintf(streams.Out, "shibafu: serving on %s, data in %s\n", s.URL(), s.Root())
	if ca := s.CA(); ca != "" {
		fmt.Fprintf(streams.Out, "shibafu: clients have to trust %s\n", ca)
	}
	if at := s.AdminAddr(); at != nil {
		fmt.Fprintf(streams.Out, "shibafu: figures on http://%s/metrics\n", at)
	}
	return errors.Join(serveUntil(ctx, s), s.Close())
}

// serveUntil serves until ctx ends, and reads files again at SIGHUP.
func serveUntil(ctx context.Context, s *server.Server) error {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	ctx, stop := context.WithCancel(ctx)
	var reloads sync.WaitGroup
	defer reloads.Wait()
	defer stop()
	reloads.Go(func() {
		for {
			select {
			case <-again:
				s.Reload()
			case <-ctx.Done():
				return
			}
		}
	})
	return s.Serve(ctx)
}

// settle puts together what file, environment and command line say.
func settle(config *server.Config, fs *flag.FlagSet, s Streams) error {
	err := config.Settle(fs, os.LookupEnv)
	if errors.As(err, new(*server.SettingError)) {
		fmt.Fprintf(s.Err, "%s: %v\n", fs.Name(), err)
		return errUsage
	}
	return err
}
