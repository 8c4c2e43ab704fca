package collect

import (
	"bytes"
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// nftables lists the kernel's tables, and tells whether a base chain of input
// drops what no rule accepts. It asks the kernel itself (two dumps over
// netlink); what cannot be asked stays empty.
func nftables() (tables []string, drop bool) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, false
	}
	defer unix.Close(fd)
	wait := unix.NsecToTimeval(time.Second.Nanoseconds())
	if unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait) != nil {
		return nil, false
	}
	families := map[byte]string{1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
	dump(fd, unix.NFT_MSG_GETTABLE, func(family byte, attrs map[uint16][]byte) {
		if name := families[family]; name != "" {
			tables = append(tables, "nft "+name+" "+cString(attrs[unix.NFTA_TABLE_NAME]))
		}
	})
	dump(fd, unix.NFT_MSG_GETCHAIN, func(family byte, attrs map[uint16][]byte) {
		hook := attributes(attrs[unix.NFTA_CHAIN_HOOK])[unix.NFTA_HOOK_HOOKNUM]
		policy := attrs[unix.NFTA_CHAIN_POLICY]
		isIP := family == 1 || family == 2 || family == 10
		if isIP && len(hook) == 4 && len(policy) == 4 && binary.BigEndian.Uint32(hook) == unix.NF_INET_LOCAL_IN && binary.BigEndian.Uint32(policy) == policyDrop {
			drop = true
		}
	})
	return tables, drop
}

// policyDrop is NF_DROP of the kernel.
const policyDrop = 0

// dump asks for all objects of a kind and gives each one's family and
// attributes.
func dump(fd int, kind uint16, each func(family byte, attrs map[uint16][]byte)) {
	ne := binary.NativeEndian
	req := ne.AppendUint32(nil, 20)
	req = ne.AppendUint16(req, unix.NFNL_SUBSYS_NFTABLES<<8|kind)
	req = ne.AppendUint16(req, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	req = append(req, make([]byte, 8)...)      // sequence, port
	req = append(req, unix.AF_UNSPEC, 0, 0, 0) // nfgenmsg
	if unix.Sendto(fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
		return
	}
	buf := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil || n == 0 {
			return
		}
		for b := buf[:n]; len(b) >= 16; {
			size := int(ne.Uint32(b))
			if size < 16 || size > len(b) {
				return
			}
			switch ne.Uint16(b[4:]) {
			case unix.NLMSG_DONE, unix.NLMSG_ERROR:
				return
			}
			if size >= 20 {
				each(b[16], attributes(b[20:size]))
			}
			b = b[min(len(b), (size+3)&^3):]
		}
	}
}

// attributes reads netlink attributes by type.
func attributes(b []byte) map[uint16][]byte {
	out := map[uint16][]byte{}
	for len(b) >= 4 {
		size := int(binary.NativeEndian.Uint16(b))
		if size < 4 || size > len(b) {
			break
		}
		out[binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER)] = b[4:size]
		b = b[min(len(b), (size+3)&^3):]
	}
	return out
}

func cString(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}
