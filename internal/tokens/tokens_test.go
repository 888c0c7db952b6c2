package tokens

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pterosocket/pterosocket-go/internal/panel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errLater = errors.New("later")

func cache(source func() (panel.Credentials, error)) *Cache {
	return &Cache{
		Ask: func(context.Context) (panel.Credentials, error) { return source() },
		RetryAfter: func(err error) time.Duration {
			if errors.Is(err, errLater) {
				return time.Minute
			}
			return 0
		},
		Log: slog.New(slog.DiscardHandler),
	}
}

// A token is used until it is due; five are asked for in a minute, whatever happens.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Time
		c := cache(func() (panel.Credentials, error) {
			asked = append(asked, time.Now())
			return panel.Credentials{Token: "t", Socket: "wss://node/ws"}, nil
		})
		for range 100 {
			if _, err := c.Get(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if len(asked) != 1 {
			t.Errorf("%d requests for a token that is good", len(asked))
		}
		for range 30 {
			c.Forget()
			if _, err := c.Get(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for i := budget; i < len(asked); i++ {
			if d := asked[i].Sub(asked[i-budget]); d < time.Minute {
				t.Fatalf("six requests within %v", d)
			}
		}
		c.Forget()
		for c.Blocked() == 0 {
			c.Forget()
			_, _ = c.Get(t.Context())
			c.Forget()
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Get(short); !errors.Is(err, ErrBudget) {
			t.Errorf("beyond the budget: %v", err)
		}
	})
}

// What the panel asks for is waited for, or said at once.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := true
		c := cache(func() (panel.Credentials, error) {
			if fail {
				return panel.Credentials{}, errLater
			}
			return panel.Credentials{Token: "t", Socket: "wss://node/ws"}, nil
		})
		start := time.Now()
		if _, err := c.Get(t.Context()); !errors.Is(err, errLater) {
			t.Error(err)
		}
		fail = false
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Get(short); !errors.Is(err, errLater) || !strings.HasPrefix(err.Error(), "waiting for 1m0s more: ") {
			t.Error(err)
		}
		if _, err := c.Get(t.Context()); err != nil || time.Since(start) < time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestParseClaims(t *testing.T) {
	token := func(payload string) string {
		return "h." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".s"
	}
	for name, test := range map[string]struct {
		token       string
		lifetime    time.Duration
		permissions []string
	}{
		"usual":     {token(`{"exp":1795418724,"iat":1795418124,"permissions":["*"]}`), 10 * time.Minute, []string{"*"}},
		"fractions": {token(`{"exp":100.5,"iat":99.25}`), 1250 * time.Millisecond, nil},
		"backwards": {token(`{"exp":1,"iat":2}`), 0, nil},
		"no iat":    {token(`{"exp":1795418724}`), 0, nil},
		"garbage":   {"garbage", 0, nil},
		"no JSON":   {"a.!!!.c", 0, nil},
	} {
		got := parseClaims(test.token)
		if got.lifetime() != test.lifetime || !slices.Equal(got.Permissions, test.permissions) ||
			got.Scope != nil || got.Scopes != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
