package redirect

import (
	"errors"
	"net/http"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSameHost(t *testing.T) {
	own := errors.New("the user's own check")
	for _, test := range []struct {
		to    string
		times int
		want  error
	}{
		{"https://node:8080/other", 1, own},
		{"wss://node:8080/other", 1, own},
		{"http://node:8080/", 1, http.ErrUseLastResponse},
		{"ws://node:8080/", 1, http.ErrUseLastResponse},
		{"https://node/", 1, http.ErrUseLastResponse},
		{"https://elsewhere:8080/", 1, http.ErrUseLastResponse},
		{"https://node:8080/other", maxRedirects, http.ErrUseLastResponse},
	} {
		first, err := http.NewRequest(http.MethodGet, "wss://node:8080/api/servers/x/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		next, err := http.NewRequest(http.MethodGet, test.to, nil)
		if err != nil {
			t.Fatal(err)
		}
		via := make([]*http.Request, test.times)
		for i := range via {
			via[i] = first
		}
		check := SameHost(func(*http.Request, []*http.Request) error { return own })
		if err := check(next, via); !errors.Is(err, test.want) {
			t.Errorf("%s after %d: %v, want %v", test.to, test.times, err, test.want)
		}
		if err := SameHost(nil)(next, via); (err == nil) != (test.want == own) {
			t.Errorf("%s after %d, without a check of the user's: %v", test.to, test.times, err)
		}
	}
}
