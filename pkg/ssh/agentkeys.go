package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	cssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// agentPatience bounds the listing of keys; a healthy agent needs a moment.
const agentPatience = 10 * time.Second

// agentKeys are the keys of the SSH agent, for one sign-in: a connection of
// its own keeps hosts from waiting for each other's signatures. The zero value
// and nil hold none.
type agentKeys struct {
	conn    net.Conn
	signers []cssh.Signer
	err     error
}

// agentKeys asks the SSH agent, if it is to be used. That it cannot be asked
// is told with a refused sign-in, and otherwise no error.
func (d *Dialer) agentKeys(ctx context.Context) *agentKeys {
	if !d.cfg.UseAgent {
		return nil
	}
	socket := d.cfg.AgentSocket
	if socket == "" {
		socket = os.Getenv("SSH_AUTH_SOCK")
	}
	if socket == "" {
		return &agentKeys{err: errors.New("SSH_AUTH_SOCK is not set")}
	}
	ctx, cancel := context.WithTimeout(ctx, agentPatience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return &agentKeys{err: err}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	signers, err := agent.NewClient(conn).Signers()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return &agentKeys{err: fmt.Errorf("listing keys: %w", err)}
	}
	return &agentKeys{conn: conn, signers: signers}
}

func (a *agentKeys) all() []cssh.Signer {
	if a == nil {
		return nil
	}
	return a.signers
}

// find gives the signer for key, or nil.
func (a *agentKeys) find(key cssh.PublicKey) cssh.Signer {
	if key == nil {
		return nil
	}
	for _, s := range a.all() {
		if bytes.Equal(s.PublicKey().Marshal(), key.Marshal()) {
			return s
		}
	}
	return nil
}

func (a *agentKeys) close() {
	if a != nil && a.conn != nil {
		a.conn.Close()
	}
}
