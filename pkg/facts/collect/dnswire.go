package collect

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
)

// Types of DNS questions.
const (
	typeA    = 1
	typeNS   = 2
	typeAAAA = 28
)

var typeLetters = map[uint16]string{typeA: "A", typeNS: "NS", typeAAAA: "AAAA"}

var errDNS = errors.New("the answer is no DNS message")

// dnsQuery writes one question with the wish for recursion. ok is false for
// what cannot be a name.
func dnsQuery(id uint16, name string, kind uint16) (msg []byte, ok bool) {
	be := binary.BigEndian
	msg = be.AppendUint16(msg, id)
	msg = append(msg, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0) // recursion desired, one question
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label == "" && name == "." {
			break
		}
		if label == "" || len(label) > 63 {
			return nil, false
		}
		msg = append(msg, byte(len(label)))
		msg = append(msg, label...)
	}
	msg = append(msg, 0)
	msg = be.AppendUint16(msg, kind)
	msg = be.AppendUint16(msg, 1) // IN
	return msg, len(msg) <= 12+255+4
}

// dnsReply reads the code and the addresses of an answer to the question id.
// Names in it are skipped, never followed.
func dnsReply(msg []byte, id uint16) (code int, addrs []string, err error) {
	be := binary.BigEndian
	if len(msg) < 12 || be.Uint16(msg) != id || msg[2]&0x80 == 0 {
		return 0, nil, errDNS
	}
	code = int(msg[3] & 0xf)
	questions, answers := int(be.Uint16(msg[4:])), int(be.Uint16(msg[6:]))
	at := 12
	for range questions {
		if at = skipName(msg, at) + 4; at > len(msg) || at < 16 {
			return code, nil, errDNS
		}
	}
	for range answers {
		start := skipName(msg, at)
		if start < 0 || start+10 > len(msg) {
			break // cut short: what was read counts
		}
		kind, length := be.Uint16(msg[start:]), int(be.Uint16(msg[start+8:]))
		at = start + 10 + length
		if at > len(msg) {
			break
		}
		if a, ok := netip.AddrFromSlice(msg[start+10 : at]); ok && (kind == typeA && length == 4 || kind == typeAAAA && length == 16) {
			addrs = append(addrs, a.String())
		}
	}
	return code, addrs, nil
}

// skipName gives the offset behind a name, -1 when there is none.
func skipName(msg []byte, at int) int {
	for at >= 0 && at < len(msg) {
		switch n := int(msg[at]); {
		case n == 0:
			return at + 1
		case n >= 0xc0: // a pointer ends the name
			return at + 2
		case n > 63:
			return -1
		default:
			at += 1 + n
		}
	}
	return -1
}

var codeNames = []string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"}
