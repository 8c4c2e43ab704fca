package collect

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/facts"
)

// server answers DNS questions on loopback until the test ends.
func server(t *testing.T, answer func(query []byte) [][]byte) uint16 {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		conn.Close()
		wg.Wait()
	})
	wg.Go(func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFromUDP(buf)
			if err != nil {
				return
			}
			for _, msg := range answer(buf[:n]) {
				if _, err := conn.WriteToUDP(msg, from); err != nil {
					return
				}
			}
		}
	})
	return uint16(conn.LocalAddr().(*net.UDPAddr).Port)
}

// reply answers a query with a code and addresses.
func reply(query []byte, code byte, addrs ...net.IP) []byte {
	out := append([]byte{}, query...)
	out[2], out[3], out[7] = 0x81, 0x80|code, byte(len(addrs))
	kind := query[len(query)-4 : len(query)-2]
	for _, a := range addrs {
		out = append(out, 0xc0, 12) // the question's name
		out = append(out, kind...)
		out = append(out, 0, 1, 0, 0, 0, 60, 0, byte(len(a)))
		out = append(out, a...)
	}
	return out
}

func TestAskServers(t *testing.T) {
	t.Parallel()
	port := server(t, func(q []byte) [][]byte {
		switch kind := binary.BigEndian.Uint16(q[len(q)-4:]); kind {
		case typeA: // somebody else's answer comes first
			other := reply(q, 0, net.IP{9, 9, 9, 9})
			other[0] ^= 0xff
			return [][]byte{other, []byte("?"), reply(q, 0, net.IP{10, 0, 0, 7}, net.IP{10, 0, 0, 8})}
		case typeAAAA:
			return [][]byte{reply(q, 3)}
		}
		return nil // the root is not answered for
	})
	asked := questions("node7", []string{"site.example.", "example"})
	if d := cmp.Diff([]string{"node7.site.example."}, []string{asked[1].name}); d != "" {
		t.Fatalf("questions (-want +got):\n%s", d)
	}
	start := time.Now()
	got := askServers(t.Context(), []string{"127.0.0.1", "no server"}, port, asked)
	if took := time.Since(start); took > 3*dnsWait {
		t.Errorf("took %s", took)
	}
	for i := range got {
		if got[i].Code != "" && got[i].Millis <= 0 {
			t.Errorf("%+v took no time", got[i])
		}
		got[i].Millis = 0
	}
	want := []facts.DNSAnswer{
		{Server: "127.0.0.1", Question: ". NS", Error: "no answer within 1s"},
		{Server: "127.0.0.1", Question: "node7.site.example. A", Code: "NOERROR", Addresses: []string{"10.0.0.7", "10.0.0.8"}},
		{Server: "127.0.0.1", Question: "node7.site.example. AAAA", Code: "NXDOMAIN"},
		{Server: "no server", Question: ". NS", Error: "no IP address"},
		{Server: "no server", Question: "node7.site.example. A", Error: "no IP address"},
		{Server: "no server", Question: "node7.site.example. AAAA", Error: "no IP address"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("answers (-want +got):\n%s", d)
	}
}

// A cancel ends the questions at once, and a closed port is told as such.
func TestAskEndsEarly(t *testing.T) {
	t.Parallel()
	port := server(t, func([]byte) [][]byte { return nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	start := time.Now()
	if got := askServers(ctx, []string{"127.0.0.1"}, port, questions("", nil)); got[0].Error == "" || time.Since(start) > dnsWait/2 {
		t.Errorf("after %s: %+v", time.Since(start), got)
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	free := uint16(conn.LocalAddr().(*net.UDPAddr).Port)
	conn.Close()
	ctx, cancel = context.WithTimeout(t.Context(), dnsWait)
	defer cancel()
	if got := ask(ctx, "127.0.0.1", free, question{".", typeNS}); got.Error != "connection refused" {
		t.Errorf("closed port: %+v", got)
	}
}

func TestNamesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a..b.", strings.Repeat("x", 64) + ".", strings.Repeat("abcdefg.", 40), ""} {
		if msg, ok := dnsQuery(1, name, typeA); ok {
			t.Errorf("dnsQuery(%q) = %q", name, msg)
		}
	}
}

func FuzzDNSReply(f *testing.F) {
	q, _ := dnsQuery(7, "node7.example.", typeA)
	f.Add(reply(q, 0, net.IP{10, 0, 0, 7}))
	f.Add([]byte("\x00\x07\x81\x80\xff\xff\xff\xff\x00\x00\x00\x00\xc0"))
	f.Fuzz(func(_ *testing.T, msg []byte) { _, _, _ = dnsReply(msg, 7) })
}

func TestStub(t *testing.T) {
	t.Parallel()
	listening := []facts.Listener{{Proto: "udp", Address: "127.0.0.1", Port: 53, Process: "dnsmasq"}}
	for server, want := range map[string]string{"10.0.0.1": "", "127.0.0.53": "systemd-resolved", "127.0.0.11": "docker", "127.0.0.1": "dnsmasq", "::1": "unknown"} {
		if got := stub([]string{server}, listening); got != want {
			t.Errorf("stub(%s) = %q, want %q", server, got, want)
		}
	}
}
