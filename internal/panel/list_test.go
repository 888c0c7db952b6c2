package panel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lister lets handler answer a List, and returns how many requests that took.
func lister(t *testing.T, handler http.HandlerFunc) (servers []Server, isWhole bool, requests int, err error) {
	t.Helper()
	srv := httptest.NewServer(handler)
	defer srv.Close()
	c := Client{HTTP: srv.Client(), Origin: srv.URL, APIKey: key}
	servers, isWhole, err = c.List(t.Context(), false, func(context.Context) error { requests++; return nil })
	if err != nil && strings.Contains(err.Error(), key) {
		t.Errorf("the error holds the API key: %v", err)
	}
	return servers, isWhole, requests, err
}

// A list that changes while it is read is read again; what is found twice is there once.
func TestListThatChanges(t *testing.T) {
	page := func(w http.ResponseWriter, total, from, to int) {
		data := []any{}
		for i := from; i < to; i++ {
			data = append(data, map[string]any{"attributes": map[string]any{"identifier": fmt.Sprint("s", i), "uuid": fmt.Sprint("u", i)}})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": data, "meta": map[string]any{"pagination": map[string]any{"total": total}}})
	}
	for name, test := range map[string]struct {
		answer            func(w http.ResponseWriter, reading, number int)
		servers, requests int
		isWhole           bool
	}{
		"steady":      {func(w http.ResponseWriter, _, n int) { page(w, 150, (n-1)*100, min(n*100, 150)) }, 150, 2, true},
		"none":        {func(w http.ResponseWriter, _, _ int) { page(w, 0, 0, 0) }, 0, 1, true},
		"one hundred": {func(w http.ResponseWriter, _, _ int) { page(w, 100, 0, 100) }, 100, 1, true},
		"one is added": {func(w http.ResponseWriter, reading, n int) {
			page(w, 150+min(1, reading+n-1), (n-1)*100, min(n*100, 151))
		}, 151, 4, true},
		"one is deleted while it is read": {func(w http.ResponseWriter, reading, n int) {
			if reading == 0 && n == 2 { // everything has moved up
				page(w, 149, 101, 150)
				return
			}
			page(w, 150-min(1, reading), (n-1)*100, min(n*100, 150-min(1, reading)))
		}, 149, 4, true},
		"never steady": {func(w http.ResponseWriter, reading, n int) {
			page(w, 150+10*reading+n, min((n-1)*100, 150), min(n*100, 150))
		}, 150, 9, false},
		"shorter than it says": {func(w http.ResponseWriter, _, n int) { page(w, 1_000_000, (n-1)*100, max((n-1)*100, min(n*100, 150))) }, 150, 9, false},
	} {
		t.Run(name, func(t *testing.T) {
			reading := -1
			servers, isWhole, requests, err := lister(t, func(w http.ResponseWriter, r *http.Request) {
				n, _ := strconv.Atoi(r.URL.Query().Get("page"))
				if n == 1 {
					reading++
				}
				test.answer(w, reading, n)
			})
			if err != nil || len(servers) != test.servers || isWhole != test.isWhole || requests != test.requests {
				t.Errorf("%d servers, whole %v, after %d requests: %v; want %d, %v, %d", len(servers), isWhole, requests, err, test.servers, test.isWhole, test.requests)
			}
			seen := make(map[string]bool)
			for _, s := range servers {
				if seen[s.UUID] {
					t.Errorf("%s is there twice", s.UUID)
				}
				seen[s.UUID] = true
			}
		})
	}
}

// Both shapes are read, and what stands in them that no terminal should see is not passed on.
func TestListReadsBothShapes(t *testing.T) {
	want := Server{ID: "1a2b3c4d", UUID: "1a2b3c4d-x", Name: "Survival [31m", Node: "eu-1", Description: "", Status: "suspended",
		Owner: true, Suspended: true, Limits: Resources{Memory: 1024, Swap: -1, Disk: 5120, CPU: 200}}
	for name, body := range map[string]string{
		"Pterodactyl": `{"object":"list","data":[{"object":"server","attributes":{"identifier":"1a2b3c4d","internal_id":7,"uuid":"1a2b3c4d-x","name":"Survival\u001b[31m","node":"eu-1",` +
			`"description":null,"status":"suspended","is_suspended":true,"is_installing":false,"is_transferring":false,"server_owner":true,` +
			`"limits":{"memory":1024,"swap":-1,"disk":5120,"io":500,"cpu":200,"threads":null,"oom_disabled":true}}}],"meta":{"pagination":{"total":1}}}`,
		"Calagopus": `{"servers":{"total":1,"per_page":100,"page":1,"data":[{"uuid":"1a2b3c4d-x","uuid_short":439041101,"name":"Survival\u001b[31m","description":null,` +
			`"node_name":"eu-1","status":"suspended","is_owner":true,"is_suspended":true,"is_transferring":false,"permissions":["*"],` +
			`"limits":{"memory":1024,"swap":-1,"disk":5120,"io_weight":null,"cpu":200}}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			servers, isWhole, _, err := lister(t, func(w http.ResponseWriter, r *http.Request) {
				if (r.URL.Path == "/api/client") != (name == "Pterodactyl") {
					w.WriteHeader(404)
					return
				}
				fmt.Fprint(w, body)
			})
			if err != nil || !isWhole {
				t.Fatal(err, isWhole)
			}
			if diff := cmp.Diff([]Server{want}, servers); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What is no list is an error that says so.
func TestListErrors(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		status  int
		says    string
	}{
		"a web page":    {body(200, "<html>"), 200, "no list of servers but an HTML page"},
		"another shape": {body(200, `{"data":[]}`), 200, "no list of servers but other JSON"},
		"unauthorized":  {body(401, `{"errors":[{"detail":"Unauthenticated."}]}`), 401, "Unauthenticated"},
		"out of order":  {body(503, ""), 503, "an empty body"},
		"not found":     {body(404, `{"errors":[{"detail":"nothing"}]}`), 404, "nothing"},
		"null":          {body(200, `null`), 200, "no list"},
		"no data":       {body(200, `{"object":"list","meta":{"pagination":{"total":0}}}`), 200, "no list"},
		"no total":      {body(200, `{"object":"list","data":[]}`), 200, "no list"},
		"null servers":  {body(200, `{"object":"list","data":[null,{"attributes":null}],"meta":{"pagination":{"total":2}}}`), 200, "no list"},
		"wrong types":   {body(200, `{"object":"list","data":{"a":1}}`), 200, "no list"},
		"too long":      {body(200, `{"object":"list","data":[`+strings.Repeat(" ", maxBody)), 200, "longer than 8 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			servers, _, _, err := lister(t, test.handler)
			var refused *Error
			if !errors.As(err, &refused) || refused.StatusCode != test.status || !strings.Contains(err.Error(), test.says) || servers != nil {
				t.Errorf("%v, %v", servers, err)
			}
		})
	}
}

// The limits that an answer tells are passed on, with the length of their window.
func TestLimitsAreRead(t *testing.T) {
	for _, test := range []struct {
		limit, remaining, body string
		want                   []Limit
	}{
		{"240", "239", `{"attributes":{"uuid":"x"}}`, []Limit{{240, 239, time.Minute}}},
		{"", "", `{"attributes":{"uuid":"x"}}`, nil},
		{"many", "few", `{"attributes":{"uuid":"x"}}`, nil},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-RateLimit-Limit", test.limit)
			w.Header().Set("X-RateLimit-Remaining", test.remaining)
			fmt.Fprint(w, test.body)
		}))
		var got []Limit
		c := Client{HTTP: srv.Client(), Origin: srv.URL, APIKey: key, Server: "x", Limit: func(l Limit) { got = append(got, l) }}
		if _, err := c.Lookup(t.Context()); err != nil {
			t.Error(err)
		}
		srv.Close()
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// FuzzList: whatever a panel answers, the list is bounded and holds no control characters.
func FuzzList(f *testing.F) {
	f.Add([]byte(`{"object":"list","data":[{"attributes":{"identifier":"a","uuid":"b","limits":{"memory":1}}}],"meta":{"pagination":{"total":1}}}`))
	f.Add([]byte(`{"servers":{"total":1,"data":[{"uuid":"x","uuid_short":"y"}]}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		var nested struct {
			Object string
			Data   []struct{ Attributes serverJSON }
		}
		if json.Unmarshal(answer, &nested) != nil {
			return
		}
		for _, entry := range nested.Data {
			s := entry.Attributes.server()
			for _, text := range []string{s.ID, s.UUID, s.Name, s.Node, s.Description, s.Status} {
				if len(text) > 1100 || strings.ContainsAny(text, "\x00\x1b\n\r\x7f") {
					t.Fatalf("%q", text)
				}
			}
		}
	})
}
