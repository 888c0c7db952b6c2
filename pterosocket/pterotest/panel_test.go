package pterotest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pterosocket/pterosocket-go/pterosocket/pterotest"
)

var dialects = []pterotest.Dialect{pterotest.Pterodactyl, pterotest.Pelican, pterotest.Calagopus}

// askPanel sends a request with the key, and returns the answer with its JSON.
func askPanel(t *testing.T, srv *pterotest.Server, path string) (*http.Response, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.Origin()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+srv.APIKey())
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// The list has the user's servers page by page, in each family's form, and everything for an administrator.
func TestServersAreListedPageByPage(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := pterotest.NewServer(pterotest.Config{Dialect: d, InMemory: true, Admin: true})
				defer srv.Close()
				for i := range 6 {
					srv.AddServer(pterotest.ServerConfig{Node: i % 3, Other: i == 5})
				}
				path, all, item := "/api/client", "&type=admin-all", "identifier"
				if d == pterotest.Calagopus {
					path, all, item = "/api/client/servers", "&other=true", "uuid_short"
				}
				list := func(query string) (ids []string, total float64) {
					_, body := askPanel(t, srv, path+query)
					data, _ := body["data"].([]any)
					if d == pterotest.Calagopus {
						servers := body["servers"].(map[string]any)
						data, total = servers["data"].([]any), servers["total"].(float64)
					} else {
						total = body["meta"].(map[string]any)["pagination"].(map[string]any)["total"].(float64)
					}
					for _, entry := range data {
						attributes := entry.(map[string]any)
						if a, ok := attributes["attributes"]; ok {
							attributes = a.(map[string]any)
						}
						ids = append(ids, attributes[item].(string))
					}
					return ids, total
				}
				first, total := list("?per_page=4&page=1")
				second, _ := list("?per_page=4&page=2")
				if got := fmt.Sprint(first, second, total); got != "[a0000001 a0000002 a0000003 a0000004] [a0000005 a0000006] 6" {
					t.Error(got)
				}
				if ids, total := list("?per_page=100&page=1" + all); len(ids) != 7 || total != 7 {
					t.Error(ids, total)
				}
			})
		})
	}
}

// The panel limits the user, and the tokens of one server, in fixed windows, and says so in its headers.
func TestPanelLimits(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := pterotest.NewServer(pterotest.Config{Dialect: d, InMemory: true, PanelLimit: 8})
				defer srv.Close()
				other := srv.AddServer(pterotest.ServerConfig{})
				says := func(id string) string {
					resp, _ := askPanel(t, srv, "/api/client/servers/"+id+"/websocket")
					h := resp.Header
					return fmt.Sprintln(resp.StatusCode, h.Get("X-RateLimit-Limit"), h.Get("X-RateLimit-Remaining"), h.Get("Retry-After") != "")
				}
				var got string
				for range 6 {
					got += says(srv.ServerID())
				}
				for range 3 {
					got += says(other.ServerID())
				}
				want := "200 5 4 false\n200 5 3 false\n200 5 2 false\n200 5 1 false\n200 5 0 false\n429 5 0 true\n" +
					"200 8 1 false\n200 8 0 false\n429 8 0 true\n"
				if got != want {
					t.Errorf("got\n%swant\n%s", got, want)
				}
				if n := srv.RefusedRequests(); n != 2 {
					t.Errorf("%d requests were refused", n)
				}
				time.Sleep(time.Minute)
				resp, _ := askPanel(t, srv, "/api/client/servers/"+other.ServerID()+"/websocket")
				if left, _ := strconv.Atoi(resp.Header.Get("X-RateLimit-Remaining")); resp.StatusCode != 200 || left != 4 {
					t.Error(resp.StatusCode, left)
				}
			})
		})
	}
}
