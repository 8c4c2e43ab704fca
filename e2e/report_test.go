//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"image"
	_ "image/png" // screenshots
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReport draws the lab's bare hosts, asked read-only, and opens the page in a
// browser.
func TestReport(t *testing.T) {
	ctx := t.Context()
	lab, k := up(ctx, t), newKforge(t)
	page := filepath.Join(t.TempDir(), "report.html")
	before := checksums(ctx, t, lab.Hosts)
	r := k.run(ctx, t, "report", k.inventory, "--out", page)
	if r.code != 0 {
		t.Fatalf("report ended with %d:\n%s", r.code, r.stderr)
	}
	for name, sum := range checksums(ctx, t, lab.Hosts) {
		if sum != before[name] {
			t.Errorf("report changed %s", name)
		}
	}
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<h3>n1</h3>", "<h3>n2</h3>", "<h3>n3</h3>", " memory, ", "GNU/Linux"} {
		if !bytes.Contains(raw, []byte(want)) {
			t.Errorf("the page does not hold %q", want)
		}
	}
	if n := bytes.Count(raw, []byte("<svg")); n != 3 {
		t.Errorf("the page has %d pictures of hosts, want 3", n)
	}
	browse(ctx, t, page)
}

// TestReportOfManyKinds opens a page of machines that the lab has not.
func TestReportOfManyKinds(t *testing.T) {
	page, err := filepath.Abs("../pkg/report/testdata/site.html")
	if err != nil {
		t.Fatal(err)
	}
	browse(t.Context(), t, page)
}

// browse opens a page in Chromium, light and dark: nothing is complained of,
// nothing is fetched, and what is seen differs.
func browse(ctx context.Context, t *testing.T, page string) {
	t.Helper()
	light, dark := shot(ctx, t, page, "1"), shot(ctx, t, page, "0")
	if light < 150 || dark > 100 {
		t.Errorf("the page's ground is %d when light is wanted and %d when dark is (0 is black, 255 white)", light, dark)
	}
}

// shot gives how bright the ground of the page is. scheme is Chromium's number
// of a colour scheme: 0 is dark, 1 light.
func shot(ctx context.Context, t *testing.T, page, scheme string) int {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "page.png")
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+filepath.Join(dir, "profile"),
		"--enable-logging=stderr", "--v=0", "--hide-scrollbars", "--window-size=1280,2000", "--host-resolver-rules=MAP * ~NOTFOUND",
		"--blink-settings=preferredColorScheme="+scheme, "--screenshot="+file, "file://"+page)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "CONSOLE") {
			t.Errorf("the browser complains: %s", line)
		}
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatalf("chromium made no picture: %v\n%s", err, out)
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	colours := map[[3]uint32]bool{}
	for y := range img.Bounds().Dy() {
		for x := 0; x < img.Bounds().Dx(); x += 3 {
			r, g, b, _ := img.At(x, y).RGBA()
			colours[[3]uint32{r, g, b}] = true
		}
	}
	if len(colours) < 100 {
		t.Errorf("the page shows %d colours: it is as good as blank", len(colours))
	}
	r, g, b, _ := img.At(2, 2).RGBA()
	return int(r>>8+g>>8+b>>8) / 3
}
