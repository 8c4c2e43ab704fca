package host

import (
	"context"
	"strings"
)

// Faults between a host and another one, its peer.
const (
	Port      Fault = "port"       // what the peer sends to the host's UDP port 8472, the pod network's, is dropped
	Split     Fault = "split"      // host and peer do not reach each other, and both reach everybody else; further peers may follow
	MachineID Fault = "machine-id" // the host has the peer's machine-id, as copies of one image have
)

// peerFault is how to break the way or the difference between two hosts. Healing needs to know only the one.
type peerFault struct {
	breakIt func(ctx context.Context, h, peer *Host) error
	heal    func(ctx context.Context, h *Host) error
}

var peerFaults = map[Fault]peerFault{
	Port: {
		breakIt: func(ctx context.Context, h, peer *Host) error {
			return h.script(ctx, `nft 'table ip lab_port { chain input { type filter hook input priority -10; ip saddr `+peer.Address+` udp dport 8472 drop; }; }'`)
		},
		heal: scripts("", `nft delete table ip lab_port`).heal,
	},
	Split: {
		breakIt: func(ctx context.Context, h, peer *Host) error {
			return h.script(ctx, `
				nft add table ip lab_split
				nft 'add chain ip lab_split input { type filter hook input priority -10; }'
				nft 'add chain ip lab_split output { type filter hook output priority -10; }'
				nft add rule ip lab_split input ip saddr `+peer.Address+` drop
				nft add rule ip lab_split output ip daddr `+peer.Address+` drop`)
		},
		heal: scripts("", `nft delete table ip lab_split`).heal,
	},
	MachineID: {
		breakIt: func(ctx context.Context, h, peer *Host) error {
			id, err := peer.Exec(ctx, "cat", "/etc/machine-id")
			if err != nil {
				return err
			}
			return h.script(ctx, `[ ! -e /run/machine-id.own ] || { echo "it has somebody else's already" >&2; exit 1; }
				cp /etc/machine-id /run/machine-id.own; echo `+strings.TrimSpace(id)+` >/etc/machine-id`)
		},
		heal: scripts("", `cat /run/machine-id.own >/etc/machine-id; rm /run/machine-id.own`).heal,
	},
}
