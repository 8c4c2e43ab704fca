package netprobe

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/wire"
)

// lookups is how many questions are open at a time.
const lookups = 16

// Resolve asks as programs of the host do: hosts file, search domains, the
// servers of resolv.conf; or another resolver than the host's, which is not nil
// then. Lookups are given in order, names first.
func Resolve(ctx context.Context, r wire.Resolve, resolver *net.Resolver) []facts.Lookup {
	ctx, cancel := context.WithTimeout(ctx, within(r.Seconds, 0.1, 30))
	defer cancel()
	if resolver == nil {
		resolver = &net.Resolver{PreferGo: true}
	}
	out := make([]facts.Lookup, len(r.Names)+len(r.Addresses))
	turns := make(chan struct{}, lookups)
	var wg sync.WaitGroup
	ask := func(i int, question string, f func(context.Context, string) ([]string, error)) {
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			answers, err := f(ctx, question)
			out[i] = lookup(question, answers, err)
		})
	}
	for i, name := range r.Names {
		ask(i, name, resolver.LookupHost)
	}
	for i, address := range r.Addresses {
		ask(len(r.Names)+i, address, resolver.LookupAddr)
	}
	wg.Wait()
	return out
}

func lookup(question string, answers []string, err error) facts.Lookup {
	l := facts.Lookup{Question: question}
	for _, a := range answers {
		l.Answers = append(l.Answers, strings.TrimSuffix(a, "."))
	}
	slices.Sort(l.Answers)
	l.Answers = slices.Compact(l.Answers)
	var dns *net.DNSError
	switch {
	case err == nil:
	case errors.As(err, &dns) && dns.IsNotFound:
		l.Missing = true
	case errors.As(err, &dns) && dns.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		l.Error = "no answer"
	case errors.As(err, &dns):
		l.Error = dns.Err
	default:
		l.Error = err.Error()
	}
	return l
}
