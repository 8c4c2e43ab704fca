// Probe proves that traffic flows in a cluster: "probe serve" answers HTTP with who it is, "probe get URL" fetches an answer.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

const usage = "usage: probe serve [-listen :8080] | probe get URL [-timeout 60s]"

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) >= 1 && args[0] == "serve":
		flags := flag.NewFlagSet("serve", flag.ContinueOnError)
		listen := flags.String("listen", ":8080", "address to listen on")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return serve(ctx, *listen)
	case len(args) >= 2 && args[0] == "get":
		flags := flag.NewFlagSet("get", flag.ContinueOnError)
		timeout := flags.Duration("timeout", 60*time.Second, "how long to go on trying")
		if err := flags.Parse(args[2:]); err != nil {
			return err
		}
		return get(ctx, os.Stdout, args[1], *timeout)
	default:
		return errors.New(usage)
	}
}

// serve answers every request with "HOSTNAME NODE\n" until ctx ends.
func serve(ctx context.Context, listen string) error {
	hostname, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("reading hostname: %w", err)
	}
	server := &http.Server{
		Addr:              listen,
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "%s %s\n", hostname, os.Getenv("NODE_NAME"))
		}),
	}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving on %s: %w", listen, err)
	}
	return nil
}

// get fetches url and copies the answer to w, trying again until timeout. Every try uses a new connection, so that each is
// balanced anew.
func get(ctx context.Context, w io.Writer, url string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for {
		err := fetch(ctx, client, w, url)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no answer within %s: %w", timeout, err)
		case <-again.C:
		}
	}
}

func fetch(ctx context.Context, client *http.Client, w io.Writer, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("reading %s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("fetching %s: %s", url, response.Status)
	}
	_, err = w.Write(body)
	return err
}
