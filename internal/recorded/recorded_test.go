package recorded

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFrames(t *testing.T) {
	all := Frames(t, "*/*.jsonl")
	total := 0
	for _, frames := range all {
		total += len(frames)
	}
	if len(all) < 50 || total < 1000 {
		t.Errorf("%d recordings with %d frames", len(all), total)
	}
	if got := Frames(t, "ptero/01-connect-running.jsonl")["ptero/01-connect-running.jsonl"][0]; got != "{\"event\":\"auth success\"}\n" {
		t.Errorf("%q", got)
	}
}

func TestConnectionsAreCutAtHandshakes(t *testing.T) {
	got := Connections(t, "ptero/14-suspend.jsonl")
	if len(got) < 3 {
		t.Fatalf("%d connections", len(got))
	}
	for _, entries := range got {
		if entries[0].Handshake != 101 {
			t.Errorf("a connection begins with %+v", entries[0])
		}
	}
}
