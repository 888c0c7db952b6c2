package gobwas_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The whole suite of package pterosocket, on this transport. Its tests open connections with the Dialer that
// dialerUnderTest returns; here that is replaced by a file with this package's, since the library cannot import it.
func TestWholeSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a while")
	}
	library, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	ours, err := filepath.Abs(filepath.Join("testdata", "transport_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(library, "transport_test.go"): ours}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	test := exec.CommandContext(t.Context(), "go", "test", "-race", "-short", "-count=1", "-timeout=9m", "-overlay", file,
		"github.com/pterosocket/pterosocket-go/pterosocket")
	if out, err := test.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
