package speed

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

//go:embed testdata/check.yml
var playbook []byte

// forks is how many hosts Ansible works on at a time.
const forks = 50

// Compare runs `kforge check` and Ansible's likeness of it in turn on one fleet,
// whose hosts run what Ansible sends them on this machine.
func Compare(ctx context.Context, c Config) (ours, theirs []Run, err error) {
	program, err := filepath.Abs(c.Kforge)
	if err != nil {
		return nil, nil, err
	}
	ansible, err := exec.LookPath("ansible-playbook")
	if err != nil {
		return nil, nil, fmt.Errorf("compare with Ansible: %w", err)
	}
	err = inside(func() (err error) {
		h, err := startHosts(ctx, c.Hosts, "-shell")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.close()) }()
		now, err := h.first()
		if err != nil {
			return err
		}
		for i := range c.Runs {
			our, _, err := kforge(ctx, h, program, "check", now, c.Hosts)
			if err != nil {
				return err
			}
			their, err := runAnsible(ctx, h, ansible, now, i)
			if err != nil {
				return err
			}
			ours, theirs = append(ours, our), append(theirs, their)
			if c.Each != nil {
				c.Each(our)
				c.Each(their)
			}
		}
		return nil
	})
	return ours, theirs, err
}

// runAnsible plays the book once. Connections are opened anew each time, as
// kforge's are.
func runAnsible(ctx context.Context, h *hosts, program string, s state, n int) (Run, error) {
	dir := filepath.Join(h.dir, fmt.Sprint("ansible-", n))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Run{}, fmt.Errorf("set up Ansible: %w", err)
	}
	for name, content := range map[string]string{"hosts.ini": ansibleInventory(s), "check.yml": string(playbook), "ansible.cfg": "[defaults]\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return Run{}, fmt.Errorf("set up Ansible: %w", err)
		}
	}
	c := exec.CommandContext(ctx, program, "-i", "hosts.ini", "check.yml")
	c.Dir = dir
	c.Env = append(os.Environ(),
		"ANSIBLE_CONFIG="+filepath.Join(dir, "ansible.cfg"), "ANSIBLE_HOME="+dir, "ANSIBLE_LOCAL_TEMP="+filepath.Join(dir, "tmp"),
		"ANSIBLE_FORKS="+fmt.Sprint(forks), "ANSIBLE_PIPELINING=True", "ANSIBLE_NOCOLOR=1",
		// A socket's path may have 107 characters.
		"ANSIBLE_SSH_CONTROL_PATH_DIR="+filepath.Join(dir, "cp"), "ANSIBLE_SSH_CONTROL_PATH=%(directory)s/%%h-%%p",
	)
	var out strings.Builder
	c.Stdout = &out
	r, _, err := measured(h, c, Run{Command: "ansible", Hosts: len(s.Hosts)})
	if err != nil {
		return r, fmt.Errorf("%w\n%s", err, out.String()[max(0, out.Len()-4000):])
	}
	return r, recap(out.String(), len(s.Hosts))
}

// ansibleInventory names the same hosts, with the same key.
func ansibleInventory(s state) string {
	dir := filepath.Dir(s.Inventory)
	var b strings.Builder
	b.WriteString("[all]\n")
	for _, name := range slices.Sorted(maps.Keys(s.Hosts)) {
		fmt.Fprintf(&b, "%s ansible_port=%d node_ip=%s\n", name, s.Hosts[name].Port, s.Hosts[name].IP)
	}
	fmt.Fprintf(&b, `[all:vars]
ansible_host=127.0.0.1
ansible_user=root
ansible_ssh_private_key_file=%[1]s/key
ansible_ssh_common_args='-o UserKnownHostsFile=%[1]s/known_hosts -o IdentitiesOnly=yes'
ansible_python_interpreter=/usr/bin/python3
`, dir)
	return b.String()
}

// recapLine tells of one host: how many tasks there were, and what became of
// them. Assertions that do not hold are ignored, as a check goes on too.
var recapLine = regexp.MustCompile(`(?m)^(\S+)\s+: ok=(\d+)\s+changed=0\s+unreachable=0\s+failed=0\s+skipped=0\s`)

// tasks of the book, with the gathering of facts.
var tasks = regexp.MustCompile(`(?m)^    - name: `)

// recap wants every host to have done all of the book, and every assertion to have
// been judged.
func recap(out string, hosts int) error {
	want := fmt.Sprint(1 + len(tasks.FindAll(playbook, -1)))
	if at := strings.Index(out, "error while evaluating"); at >= 0 {
		return fmt.Errorf("read what Ansible did: an assertion could not be judged: %s", out[at:min(at+2000, len(out))])
	}
	lines := recapLine.FindAllStringSubmatch(out, -1)
	for _, l := range lines {
		if l[2] != want {
			return fmt.Errorf("read what Ansible did: %s did %s tasks of %s\n%s", l[1], l[2], want, out)
		}
	}
	if len(lines) != hosts {
		return fmt.Errorf("read what Ansible did: %d hosts of %d went through all\n%s", len(lines), hosts, out)
	}
	return nil
}
