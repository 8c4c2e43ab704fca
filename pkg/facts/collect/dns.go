package collect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"kforge.dev/kforge/pkg/facts"
)

// dnsWait is the deadline of all questions together.
const dnsWait = time.Second

type question struct {
	name string
	kind uint16
}

// questions are those that every host's server should know an answer to: the
// host's own name, and the root, which shows that it can look outward.
func questions(hostname string, search []string) []question {
	name := strings.TrimSuffix(hostname, ".")
	if !strings.Contains(name, ".") && len(search) > 0 && search[0] != "." {
		name += "." + strings.TrimSuffix(search[0], ".")
	}
	out := []question{{".", typeNS}}
	if name != "" {
		out = append(out, question{name + ".", typeA}, question{name + ".", typeAAAA})
	}
	return out
}

// askServers asks every server every question, all at once. Each answer comes
// within the deadline, or tells that it did not.
func askServers(ctx context.Context, servers []string, port uint16, asked []question) []facts.DNSAnswer {
	ctx, cancel := context.WithTimeout(ctx, dnsWait)
	defer cancel()
	out := make([]facts.DNSAnswer, len(servers)*len(asked))
	var wg sync.WaitGroup
	for i, s := range servers {
		for j, q := range asked {
			wg.Go(func() { out[i*len(asked)+j] = ask(ctx, s, port, q) })
		}
	}
	wg.Wait()
	return out
}

func ask(ctx context.Context, server string, port uint16, q question) facts.DNSAnswer {
	a := facts.DNSAnswer{Server: server, Question: q.name + " " + typeLetters[q.kind]}
	start := time.Now()
	code, addrs, err := exchange(ctx, server, port, q)
	if err != nil {
		a.Error = brief(err)
		return a
	}
	a.Millis = float64(time.Since(start).Microseconds()) / 1000
	a.Addresses = addrs
	a.Code = fmt.Sprint(code)
	if code < len(codeNames) {
		a.Code = codeNames[code]
	}
	return a
}

func exchange(ctx context.Context, server string, port uint16, q question) (int, []string, error) {
	addr, err := netip.ParseAddr(server)
	if err != nil {
		return 0, nil, errors.New("no IP address")
	}
	id := uint16(rand.Uint32())
	msg, ok := dnsQuery(id, q.name, q.kind)
	if !ok {
		return 0, nil, errors.New("the host's name is no DNS name")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", netip.AddrPortFrom(addr, port).String())
	if err != nil {
		return 0, nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return 0, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	if _, err := conn.Write(msg); err != nil {
		return 0, nil, err
	}
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return 0, nil, err
		}
		// A late answer to somebody else's question is passed over.
		if code, addrs, err := dnsReply(buf[:n], id); err == nil {
			return code, addrs, nil
		}
	}
}

// brief says an error of the network in few words.
func brief(err error) string {
	var errno syscall.Errno
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "no answer within " + dnsWait.String()
	case errors.As(err, &errno):
		return errno.Error()
	}
	return err.Error()
}

// servers that are worth asking: the host's own and those behind a stub.
func toAsk(r facts.Resolver) []string {
	var out []string
	for _, s := range slices.Concat(r.Servers, r.Upstreams) {
		if !slices.Contains(out, s) && len(out) < 8 {
			out = append(out, s)
		}
	}
	return out
}

// stub names who answers on the first loopback server.
func stub(servers []string, listening []facts.Listener) string {
	i := slices.IndexFunc(servers, loopback)
	if i < 0 {
		return ""
	}
	switch servers[i] {
	case "127.0.0.53", "127.0.0.54":
		return "systemd-resolved"
	case "127.0.0.11":
		return "docker"
	}
	for _, l := range listening {
		if l.Proto == "udp" && l.Port == 53 && (l.Address == servers[i] || l.Address == "0.0.0.0" || l.Address == "::") {
			return cmp.Or(l.Process, "unknown")
		}
	}
	return "unknown"
}
