package panel

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// A Server is what a panel tells of one.
type Server struct {
	ID, UUID, Name, Node, Description string
	Status                            string // what it is instead of ready; "": nothing is the matter
	Owner                             bool   // the user is its owner
	Suspended, Installing             bool
	Transferring                      bool
	Limits                            Resources
}

// Resources are what a server may use; 0: as much as there is. Swap below 0: the same.
type Resources struct {
	Memory int64 `json:"memory"` // MiB
	Swap   int64 `json:"swap"`   // MiB
	Disk   int64 `json:"disk"`   // MiB
	CPU    int64 `json:"cpu"`    // percent of a core
}

// serverJSON is a Server as panels write it: the first names are those of Pterodactyl and Pelican, the others those of
// Calagopus.
type serverJSON struct {
	ID           string    `json:"identifier"`
	UUID         string    `json:"uuid"`
	Name         string    `json:"name"`
	Node         string    `json:"node"`
	Description  string    `json:"description"` // or null
	Status       string    `json:"status"`      // or null
	Owner        bool      `json:"server_owner"`
	Suspended    bool      `json:"is_suspended"`
	Installing   bool      `json:"is_installing"`
	Transferring bool      `json:"is_transferring"`
	Limits       Resources `json:"limits"`
	ShortUUID    shortUUID `json:"uuid_short"`
	NodeName     string    `json:"node_name"`
	IsOwner      bool      `json:"is_owner"`
}

// A shortUUID is the beginning of a UUID, as text or as a number.
type shortUUID string

// UnmarshalJSON reads both.
func (u *shortUUID) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) != nil {
		text = ""
	}
	*u = shortUUID(text)
	return nil
}

// server returns the entry. Texts of a peer are made fit to be shown.
func (s serverJSON) server() Server {
	text := func(s string) string { return Printable(s, 1000) }
	id := cmp.Or(s.ID, string(s.ShortUUID))
	if id == "" {
		id = s.UUID[:min(len(s.UUID), 8)]
	}
	return Server{
		ID: text(id), UUID: text(s.UUID), Name: text(s.Name), Node: text(cmp.Or(s.Node, s.NodeName)),
		Description: text(s.Description), Status: text(s.Status), Owner: s.Owner || s.IsOwner,
		Suspended:    s.Suspended || s.Status == "suspended",
		Installing:   s.Installing || s.Status == "installing",
		Transferring: s.Transferring || s.Status == "transferring",
		Limits:       s.Limits,
	}
}

const (
	perPage  = 100 // as many as a panel puts into one page
	maxPages = 1000
	// listTries is how often a list is read that changes while it is.
	listTries = 3
)

// List returns the servers that the key's user may open, or, for an administrator, all of them. wait is called before
// each request. Servers may come and go while the pages are read: then the list is read again, and isWhole is false if
// that goes on.
func (c *Client) List(ctx context.Context, all bool, wait func(context.Context) error) (servers []Server, isWhole bool, err error) {
	read := c.pageNested
	for range listTries {
		servers, isWhole, err = c.pages(ctx, all, wait, read)
		if isOtherFamily(err) {
			read = c.pageFlat
			first := err
			if servers, isWhole, err = c.pages(ctx, all, wait, read); isOtherFamily(err) {
				return nil, false, first
			}
		}
		if err != nil || isWhole {
			break
		}
	}
	return servers, isWhole, err
}

// isOtherFamily reports whether a panel of another family may answer so.
func isOtherFamily(err error) bool {
	var refused *Error
	return errors.As(err, &refused) && (refused.StatusCode == http.StatusNotFound || refused.StatusCode == http.StatusOK)
}

// A page reads one page, and returns how many servers there are in all.
type page func(ctx context.Context, all bool, number int) (servers []serverJSON, total int, err error)

// pages reads all pages. A page that brings nothing new ends the list, however many servers there should be.
func (c *Client) pages(ctx context.Context, all bool, wait func(context.Context) error, read page) (servers []Server, isWhole bool, err error) {
	seen := make(map[string]bool)
	isWhole = true
	total := 0
	for number := 1; number <= maxPages; number++ {
		if err := wait(ctx); err != nil {
			return nil, false, err
		}
		entries, n, err := read(ctx, all, number)
		if err != nil {
			return nil, false, err
		}
		isWhole = isWhole && (number == 1 || n == total)
		total = n
		before := len(servers)
		for _, entry := range entries {
			if s := entry.server(); !seen[s.UUID] {
				seen[s.UUID] = true
				servers = append(servers, s)
			}
		}
		if len(servers) >= total || len(servers) == before {
			break
		}
	}
	return servers, isWhole && len(servers) == total, nil
}

func query(number int, all bool, everything string) string {
	q := "?per_page=" + strconv.Itoa(perPage) + "&page=" + strconv.Itoa(number)
	if all {
		q += "&" + everything
	}
	return q
}

// pageNested reads a page of Pterodactyl or Pelican.
func (c *Client) pageNested(ctx context.Context, all bool, number int) (servers []serverJSON, total int, err error) {
	var answer struct {
		Data []struct{ Attributes serverJSON }
		Meta struct{ Pagination struct{ Total *int } }
	}
	err = c.getJSON(ctx, "/api/client"+query(number, all, "type=admin-all"), &answer, func() (isIt, nested bool) {
		for _, entry := range answer.Data {
			servers = append(servers, entry.Attributes)
		}
		return answer.Data != nil && answer.Meta.Pagination.Total != nil && areServers(servers), true
	})
	if err != nil {
		return nil, 0, err
	}
	return servers, *answer.Meta.Pagination.Total, nil
}

// pageFlat reads a page of Calagopus.
func (c *Client) pageFlat(ctx context.Context, all bool, number int) (servers []serverJSON, total int, err error) {
	var answer struct {
		Servers struct {
			Total *int
			Data  []serverJSON
		}
	}
	err = c.getJSON(ctx, "/api/client/servers"+query(number, all, "other=true"), &answer, func() (isIt, nested bool) {
		return answer.Servers.Data != nil && answer.Servers.Total != nil && areServers(answer.Servers.Data), false
	})
	if err != nil {
		return nil, 0, err
	}
	return answer.Servers.Data, *answer.Servers.Total, nil
}

// areServers reports whether all entries of a list are servers.
func areServers(entries []serverJSON) bool {
	return !slices.ContainsFunc(entries, func(s serverJSON) bool { return s.UUID == "" })
}

// Lookup returns what the panel tells of Server. It makes one request.
func (c *Client) Lookup(ctx context.Context) (Server, error) {
	var answer struct {
		Attributes, Server serverJSON
	}
	err := c.getJSON(ctx, "/api/client/servers/"+url.PathEscape(c.Server), &answer, func() (isIt, nested bool) {
		nested = answer.Server.UUID == ""
		return !nested || answer.Attributes.UUID != "", nested
	})
	if answer.Server.UUID != "" {
		return answer.Server.server(), err
	}
	return answer.Attributes.server(), err
}

// getJSON reads an answer into v. An answer that is something else is an *Error. isIt also tells whether it is one of
// Pterodactyl or Pelican.
func (c *Client) getJSON(ctx context.Context, path string, v any, isIt func() (isIt, nested bool)) error {
	return c.get(ctx, path, func(body []byte) (bool, error) {
		isRead := json.Unmarshal(body, v) == nil
		ok, nested := isIt()
		if !isRead || !ok {
			return nested, &Error{StatusCode: http.StatusOK, Detail: "the answer is no list of servers but " + kind(body), Foreign: true}
		}
		return nested, nil
	})
}
