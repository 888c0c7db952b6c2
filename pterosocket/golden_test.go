package pterosocket

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pterosocket/pterosocket-go/internal/recorded"
	"github.com/pterosocket/pterosocket-go/internal/wire"
)

// decodeText decodes one frame.
func decodeText(t *testing.T, text string) Event {
	t.Helper()
	var d wire.Decoder
	frame, err := d.Decode([]byte(text))
	if err != nil {
		t.Fatalf("%.200q: %v", text, err)
	}
	return toEvent(frame)
}

// Every frame that the daemons sent has a type of its own, its values, and the right name.
func TestRecordedFramesAreTyped(t *testing.T) {
	seen := make(map[string]int)
	for name, frames := range recorded.Frames(t, "*/*.jsonl") {
		for _, text := range frames {
			var plain struct {
				Event string
				Args  []string
			}
			if err := json.Unmarshal([]byte(text), &plain); err != nil {
				t.Fatal(err)
			}
			ev := decodeText(t, text)
			seen[ev.Name()]++
			if ev.Name() != underscored(plain.Event) {
				t.Errorf("%s: %q is named %q", name, plain.Event, ev.Name())
			}
			arg := append(plain.Args, "")[0]
			switch ev := ev.(type) {
			case Unknown:
				if plain.Event != "made up event" {
					t.Errorf("%s: %q is Unknown", name, plain.Event)
				}
			case Error:
				t.Errorf("%s: %v", name, ev.Err)
			case ConsoleOutput:
				check(t, name, ev.Line, arg)
			case Status:
				check(t, name, string(ev.State), arg)
			case JWTError:
				check(t, name, ev.Message, arg)
			case DaemonError:
				check(t, name, ev.Message, arg)
			case DaemonMessage:
				check(t, name, ev.Message, arg)
			case InstallOutput:
				check(t, name, ev.Line, arg)
			case TransferStatus:
				check(t, name, ev.Status, arg)
			case TransferLogs:
				check(t, name, ev.Line, arg)
			case Throttled:
				check(t, name, ev.Event, arg)
			case Stats:
				var want, got map[string]any
				ours, _ := json.Marshal(ev)
				if json.Unmarshal([]byte(arg), &want) != nil || json.Unmarshal(ours, &got) != nil {
					t.Errorf("%s: %s", name, arg)
				}
				want["uptime"] = want["uptime"].(float64) * 1e6 // ms there, ns here
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got)\n%s", name, diff)
				}
			}
		}
	}
	for _, name := range []string{
		"auth_success", "status", "stats", "console_output", "token_expiring", "token_expired", "jwt_error", "daemon_error", "daemon_message",
		"install_started", "install_output", "install_completed", "backup_completed", "backup_restore_completed", "transfer_status", "transfer_logs",
		"throttled", "deleted", "feature_match",
	} {
		if seen[name] == 0 && name != "token_expired" { // recorded in a note only
			t.Errorf("no %s in the recordings", name)
		}
	}
}

func check(t *testing.T, name, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %.100q, want %.100q", name, got, want)
	}
}

func TestEventsOfOtherDaemons(t *testing.T) {
	for text, want := range map[string]Event{
		`{"event":"stats","args":["running"]}`: Stats{State: StateRunning},
		`{"event":"stats","args":["{\"disk_io\":{\"read_bytes\":1,\"write_bytes\":2},\"uptime\":1500,\"state\":\"running\"}"]}`: Stats{
			State: StateRunning, Uptime: 1500 * time.Millisecond, DiskIO: &DiskIO{1, 2},
		},
		`{"event":"backup completed:abc","args":["{\"is_successful\":true,\"checksum\":\"c\",\"checksum_type\":\"sha1\",\"file_size\":35}"]}`: BackupCompleted{"abc", true, "c", "sha1", 35},
		`{"event":"backup completed","args":["abc","{\"successful\":true,\"checksum\":\"c\",\"checksum_type\":\"sha1\",\"size\":35}"]}`:       BackupCompleted{"abc", true, "c", "sha1", 35},
		`{"event":"install completed","args":["true"]}`:                                            InstallCompleted{Successful: true, Known: true},
		`{"event":"install completed","args":[""]}`:                                                InstallCompleted{},
		`{"event":"backup restore completed","args":["false"]}`:                                    BackupRestoreCompleted{Known: true},
		`{"event":"auth success","args":["*","control.start"]}`:                                    AuthSuccess{Permissions: []Permission{"*", "control.start"}},
		`{"event":"feature match","args":["{\"key\":\"eula\",\"pattern\":\"p\",\"line\":\"l\"}"]}`: FeatureMatch{"eula", "p", "l"},
		`{"event":"console output"}`:                                                               ConsoleOutput{},
		`{"event":"deleted","args":["null"]}`:                                                      Deleted{},
		`{"event":"token expired"}`:                                                                TokenExpired{},
		`{"event":"custom event","args":["a","b"]}`:                                                Unknown{Event: "custom event", Args: []string{"a", "b"}},
		`{"event":"custom event","args":[{"a":[1]}]}`:                                              Unknown{Event: "custom event", Args: []string{`{"a":[1]}`}},
	} {
		if diff := cmp.Diff(want, decodeText(t, text)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", text, diff)
		}
	}
	for _, text := range []string{`{"event":"stats","args":["{"]}`, `{"event":"backup completed","args":["x"]}`, `{"event":"feature match"}`} {
		if ev, ok := decodeText(t, text).(Error); !ok || ev.Err == nil {
			t.Errorf("%s is %#v", text, ev)
		}
	}
	if got := (Unknown{Event: "pending restart"}).Name(); got != "pending_restart" {
		t.Errorf("Name = %q", got)
	}
}

// Calagopus' own events have types, whose names are the daemon's, and keep what they do not understand.
func TestCalagopusEventsAreTyped(t *testing.T) {
	const half = `{"progress":1,"total":2}`
	some := Progress{Done: 1, Total: 2}
	for _, test := range []struct {
		event string
		args  []string
		want  Event
	}{
		{"install progress", []string{half}, InstallProgress{some, []string{half}}},
		{"install progress", []string{"50%"}, InstallProgress{Progress{}, []string{"50%"}}},
		{"install progress", nil, InstallProgress{}},
		{"image pull progress", []string{"abc", half}, ImagePullProgress{"abc", some, []string{"abc", half}}},
		{"image pull progress", []string{half}, ImagePullProgress{"", some, []string{half}}},
		{"image pull progress", []string{"abc", `{"progress":-1}`}, ImagePullProgress{"abc", Progress{}, []string{"abc", `{"progress":-1}`}}},
		{"image pull completed", []string{"abc"}, ImagePullCompleted{"abc", []string{"abc"}}},
		{"backup started", []string{"b"}, BackupStarted{"b", []string{"b"}}},
		{"backup progress", []string{"b", half}, BackupProgress{"b", some, []string{"b", half}}},
		{"backup deleted", []string{"b"}, BackupDeleted{"b", []string{"b"}}},
		{"backup restore started", []string{""}, BackupRestoreStarted{"", []string{""}}},
		{"backup restore progress", []string{half}, BackupRestoreProgress{"", some, []string{half}}},
		{"transfer progress", []string{half}, TransferProgress{some, []string{half}}},
		{"schedule started", []string{"s"}, ScheduleStarted{"s", []string{"s"}}},
		{"schedule step status", []string{"p", "running"}, ScheduleStepStatus{"p", "running", []string{"p", "running"}}},
		{"schedule step error", []string{"p", "no such file"}, ScheduleStepError{"p", "no such file", []string{"p", "no such file"}}},
		{"schedule completed", []string{"s"}, ScheduleCompleted{"s", []string{"s"}}},
		{"operation progress", []string{"o", half}, OperationProgress{"o", some, []string{"o", half}}},
		{"operation error", []string{"o", "disk full"}, OperationError{"o", "disk full", []string{"o", "disk full"}}},
		{"operation completed", []string{"o"}, OperationCompleted{"o", []string{"o"}}},
		{"pending restart", []string{"x"}, Unknown{"pending restart", []string{"x"}}},
	} {
		got := decodeText(t, string(wire.AppendDaemonFrame(nil, test.event, test.args...)))
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s %q (-want +got)\n%s", test.event, test.args, diff)
		}
		if got.Name() != underscored(test.event) {
			t.Errorf("%s is named %q", test.event, got.Name())
		}
	}
	text, err := json.Marshal(ImagePullProgress{"abc", some, []string{"abc", half}})
	if want := `{"id":"abc","done":1,"total":2,"args":["abc","{\"progress\":1,\"total\":2}"]}`; err != nil || string(text) != want {
		t.Errorf("JSON %s, %v; want %s", text, err, want)
	}
}
