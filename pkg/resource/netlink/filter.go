package netlink

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Families by the names that people use.
var families = map[string]byte{"inet": 1, "ip": 2, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10}

// Table of a family ("ip", "ip6", "inet" ...).
type Table struct{ Family, Name string }

func (t Table) String() string { return t.Family + " " + t.Name }

// Chain of a table.
type Chain struct {
	Table
	Name string
	// Base chains hang on a hook of the kernel; Accepts tells their policy.
	Base, Accepts bool
}

// Rule of a chain.
type Rule struct {
	Table
	Chain  string
	Handle uint64
	Jumps  []string // chains that it jumps or goes to
}

// Filter is nftables, by netlink: a host needs no nft or iptables program for it.
type Filter struct{ conn }

// OpenFilter opens a connection in the network namespace of the calling thread,
// for one goroutine.
func OpenFilter() (*Filter, error) {
	c, err := open(unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("asking the packet filter: %w", err)
	}
	return &Filter{c}, nil
}

// Tables of all families.
func (c *Filter) Tables() (out []Table, err error) {
	err = c.dump(unix.NFT_MSG_GETTABLE, func(t Table, a attrs) {
		out = append(out, Table{t.Family, a.text(unix.NFTA_TABLE_NAME)})
	})
	return out, err
}

// Chains of all tables.
func (c *Filter) Chains() (out []Chain, err error) {
	const accept = 1 // NF_ACCEPT
	err = c.dump(unix.NFT_MSG_GETCHAIN, func(t Table, a attrs) {
		t.Name = a.text(unix.NFTA_CHAIN_TABLE)
		ch := Chain{Table: t, Name: a.text(unix.NFTA_CHAIN_NAME), Base: a.find(unix.NFTA_CHAIN_HOOK) != nil}
		policy := a.find(unix.NFTA_CHAIN_POLICY)
		ch.Accepts = len(policy) == 4 && binary.BigEndian.Uint32(policy) == accept
		out = append(out, ch)
	})
	return out, err
}

// Rules of all chains.
func (c *Filter) Rules() (out []Rule, err error) {
	err = c.dump(unix.NFT_MSG_GETRULE, func(t Table, a attrs) {
		t.Name = a.text(unix.NFTA_RULE_TABLE)
		r := Rule{Table: t, Chain: a.text(unix.NFTA_RULE_CHAIN)}
		if h := a.find(unix.NFTA_RULE_HANDLE); len(h) == 8 {
			r.Handle = binary.BigEndian.Uint64(h)
		}
		for _, expr := range parse(a.find(unix.NFTA_RULE_EXPRESSIONS)) {
			if to := target(parse(expr.value)); to != "" {
				r.Jumps = append(r.Jumps, to)
			}
		}
		out = append(out, r)
	})
	return out, err
}

// target is the chain that an expression of a rule jumps to.
func target(expr attrs) string {
	if expr.text(unix.NFTA_EXPR_NAME) != "immediate" {
		return ""
	}
	data := parse(parse(expr.find(unix.NFTA_EXPR_DATA)).find(unix.NFTA_IMMEDIATE_DATA))
	return parse(data.find(unix.NFTA_DATA_VERDICT)).text(unix.NFTA_VERDICT_CHAIN)
}

// Removal is a transaction: all of it happens or nothing.
type Removal struct{ messages [][]byte }

// Table goes with all that is in it.
func (r *Removal) Table(t Table) {
	r.add(unix.NFT_MSG_DELTABLE, t.Family, attr(unix.NFTA_TABLE_NAME, name(t.Name)))
}

// Empty takes all rules out of a chain.
func (r *Removal) Empty(ch Chain) {
	r.add(unix.NFT_MSG_DELRULE, ch.Family, attr(unix.NFTA_RULE_TABLE, name(ch.Table.Name)), attr(unix.NFTA_RULE_CHAIN, name(ch.Name)))
}

// Rule goes; the others of its chain stay.
func (r *Removal) Rule(u Rule) {
	r.add(unix.NFT_MSG_DELRULE, u.Family, attr(unix.NFTA_RULE_TABLE, name(u.Table.Name)), attr(unix.NFTA_RULE_CHAIN, name(u.Chain)),
		attr(unix.NFTA_RULE_HANDLE, binary.BigEndian.AppendUint64(nil, u.Handle)))
}

// Chain goes. It must be empty, and no rule may jump to it.
func (r *Removal) Chain(ch Chain) {
	r.add(unix.NFT_MSG_DELCHAIN, ch.Family, attr(unix.NFTA_CHAIN_TABLE, name(ch.Table.Name)), attr(unix.NFTA_CHAIN_NAME, name(ch.Name)))
}

func (r *Removal) add(kind uint16, family string, attributes ...[]byte) {
	body := []byte{families[family], unix.NFNETLINK_V0, 0, 0}
	for _, a := range attributes {
		body = append(body, a...)
	}
	r.messages = append(r.messages, message(unix.NFNL_SUBSYS_NFTABLES<<8|kind, unix.NLM_F_REQUEST, body))
}

// Commit does the removal.
func (c *Filter) Commit(r *Removal) error {
	if len(r.messages) == 0 {
		return nil
	}
	mark := func(kind uint16) []byte {
		return message(kind, unix.NLM_F_REQUEST, []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES})
	}
	all := append(append([][]byte{mark(unix.NFNL_MSG_BATCH_BEGIN)}, r.messages...), mark(unix.NFNL_MSG_BATCH_END))
	ne := binary.NativeEndian
	var out []byte
	for i, m := range all {
		c.seq++
		ne.PutUint32(m[8:], c.seq)
		if i == len(all)-2 { // an error is told anyway, and one answer is enough for the rest
			ne.PutUint16(m[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
		}
		out = append(out, m...)
	}
	if err := c.send(out, c.seq-1); err != nil {
		return fmt.Errorf("changing the packet filter: %w", err)
	}
	return nil
}

// dump asks for all objects of a kind.
func (c *Filter) dump(kind uint16, each func(Table, attrs)) error {
	names := map[byte]string{}
	for n, f := range families {
		names[f] = n
	}
	err := c.conn.dump(unix.NFNL_SUBSYS_NFTABLES<<8|kind, []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0}, func(body []byte) {
		if len(body) >= 4 && names[body[0]] != "" {
			each(Table{Family: names[body[0]]}, parse(body[4:]))
		}
	})
	if err != nil {
		return fmt.Errorf("asking the packet filter: %w", err)
	}
	return nil
}
