package fleet

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// names is the fleet's name server: hosts by their names and addresses, and one
// name of the world outside. It speaks DNS over pipes in memory, so that a check
// neither depends on this machine's servers nor asks them.
type names struct {
	addresses map[string]netip.Addr // by name, with a final dot
	hosts     map[string]string     // by the name that a reverse lookup asks for
}

// outside is a name that hosts ask for to see whether they can look outward.
const outside = "registry.k8s.io."

func newNames(hosts int) *names {
	n := &names{addresses: map[string]netip.Addr{outside: netip.AddrFrom4([4]byte{192, 0, 2, 1})}, hosts: map[string]string{}}
	for i := range hosts {
		ip := netip.MustParseAddr(nodeIP(i))
		b := ip.As4()
		n.addresses[hostName(i)+"."] = ip
		n.hosts[netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]}).String()+".in-addr.arpa."] = hostName(i) + "."
	}
	return n
}

// resolver is a new one at each call: one that is shared asks once for what many
// hosts want to know.
func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go n.serve(server) // ends with the client
		return client, nil
	}}
}

// serve answers questions as a server does over TCP: each message after its
// length.
func (n *names) serve(c net.Conn) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		reply, err := n.answer(query)
		if err != nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

func (n *names) answer(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionAvailable: true, RecursionDesired: m.RecursionDesired},
		Questions: m.Questions,
	}
	for _, q := range m.Questions {
		head := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60}
		asked := strings.ToLower(q.Name.String())
		address, isName := n.addresses[asked]
		host, isAddress := n.hosts[asked]
		switch {
		case isName && q.Type == dnsmessage.TypeA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: address.As4()}})
		case isAddress && q.Type == dnsmessage.TypePTR:
			name, err := dnsmessage.NewName(host)
			if err != nil {
				return nil, err
			}
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.PTRResource{PTR: name}})
		case !isName && !isAddress:
			reply.RCode = dnsmessage.RCodeNameError
		}
	}
	return reply.Pack()
}
