package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const root = "../.."

func page(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// Every command has a section in docs/commands.md, and every flag is in the
// section of its command, or among those of every command.
func TestCommandsPage(t *testing.T) {
	t.Parallel()
	sections := map[string]string{} // by heading
	for _, s := range strings.Split(page(t, "docs/commands.md"), "\n## ")[1:] {
		head, text, _ := strings.Cut(s, "\n")
		sections[strings.Trim(head, "`# ")] = text
	}
	top := (&app{}).root()
	wantFlags := func(section string, set *pflag.FlagSet) {
		text, ok := sections[section]
		if !ok {
			t.Errorf("docs/commands.md has no section %q", section)
			return
		}
		set.VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(text, "--"+f.Name) {
				t.Errorf("docs/commands.md: section %q does not tell of --%s", section, f.Name)
			}
			if f.Shorthand != "" && !strings.Contains(text, "`-"+f.Shorthand) {
				t.Errorf("docs/commands.md: section %q does not tell of -%s", section, f.Shorthand)
			}
		})
	}
	wantFlags("Flags of every command", top.PersistentFlags())
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Name() == "completion" || c.Name() == "help" { // one section each: they are cobra's
			if _, ok := sections[c.CommandPath()]; !ok {
				t.Errorf("docs/commands.md has no section %q", c.CommandPath())
			}
			return
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
		if !c.HasSubCommands() {
			wantFlags(c.CommandPath(), c.LocalNonPersistentFlags())
		}
	}
	visit(top)
}

// The page of exit codes is that of the constants.
func TestExitCodesPage(t *testing.T) {
	t.Parallel()
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(page(t, "docs/exit-codes.md"), -1) {
		got = append(got, m[1])
	}
	want := fmt.Sprint([]int{ExitOK, ExitFailed, ExitChanges, ExitPartial, ExitInvalid, ExitPreflight, ExitConsent, ExitLocked, ExitInterrupted})
	if s := "[" + strings.Join(got, " ") + "]"; s != want {
		t.Errorf("docs/exit-codes.md has %s, want %s", s, want)
	}
}

// Links between the pages lead somewhere.
func TestLinks(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
	for _, p := range append(pages, filepath.Join(root, "README.md")) {
		raw, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(raw), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(p), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", p, m[1])
			}
		}
	}
}

// What was recorded on one machine tells of no other, and holds no secret.
func TestRecordingsAreClean(t *testing.T) {
	t.Parallel()
	bad := regexp.MustCompile(`/(?:root|work|tmp)/|[a-z0-9]{6}\.[a-z0-9]{16}|PRIVATE KEY|client-key-data|certificate-key [0-9a-f]`)
	files, err := filepath.Glob("testdata/recordings/*/events.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("recordings: %v, %v", files, err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if found := bad.Find(raw); found != nil {
			t.Errorf("%s holds %q", f, found)
		}
	}
}
