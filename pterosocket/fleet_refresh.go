package pterosocket

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pterosocket/pterosocket-go/internal/budget"
)

const (
	// lookedUpSingly is how many named servers are looked up one by one at most. If there are more, one listing finds
	// them.
	lookedUpSingly = 10
	// atOnce is how many requests a fleet makes at its start without waiting for their turn. They are enough to list a
	// thousand servers, with one more to find out the panel's family.
	atOnce = 11
)

// found is what the panel tells about the servers that a fleet should have.
type found struct {
	servers []Server
	unknown []string  // names that the panel does not know
	isWhole bool      // the list is complete
	began   time.Time // when the first request began
}

// find asks the panel which servers the fleet should have, and for those that Add brought. The first hurried requests
// do not wait for their turn.
func (f *Fleet) find(ctx context.Context, hurried int) (found, error) {
	wait := func(ctx context.Context) error {
		if hurried > 0 {
			hurried--
			f.budget.Take()
			return nil
		}
		return f.budget.Wait(ctx, budget.Refresh, time.Time{})
	}
	some, err := f.findListed(ctx, wait)
	if err != nil {
		return found{}, err
	}
	more, err := f.lookup(ctx, f.byHand(some.servers), wait)
	some.servers = append(some.servers, more.servers...)
	return some, err
}

// byHand returns the UUIDs of the servers that Add brought and that others does not hold.
func (f *Fleet) byHand(others []Server) (uuids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.members {
		if m.byHand && !slices.ContainsFunc(others, func(s Server) bool { return s.UUID == m.server.UUID }) {
			uuids = append(uuids, m.server.UUID)
		}
	}
	return uuids
}

// findListed finds the servers that the config asks for.
func (f *Fleet) findListed(ctx context.Context, wait func(context.Context) error) (found, error) {
	names := f.cfg.Servers
	if len(names) > 0 && len(names) <= lookedUpSingly {
		return f.lookup(ctx, names, wait)
	}
	all, isWhole, err := listOnce(ctx, f.panel(""), f.cfg.Admin, wait)
	if err != nil || len(names) == 0 {
		return found{servers: all, isWhole: isWhole}, err
	}
	byName := make(map[string]Server, 2*len(all))
	for _, s := range all {
		byName[strings.ToLower(s.ID)], byName[strings.ToLower(s.UUID)] = s, s
	}
	var some found
	for _, name := range names {
		if s, ok := byName[strings.ToLower(name)]; ok {
			some.servers = append(some.servers, s)
		} else {
			some.unknown = append(some.unknown, name)
		}
	}
	some.isWhole = isWhole
	return some, nil
}

// lookup asks the panel for servers one by one.
func (f *Fleet) lookup(ctx context.Context, names []string, wait func(context.Context) error) (some found, err error) {
	for _, name := range names {
		if err := wait(ctx); err != nil {
			return found{}, err
		}
		s, err := lookupOnce(ctx, f.panel(name))
		switch {
		case errors.Is(err, ErrServerNotFound):
			some.unknown = append(some.unknown, name)
		case err != nil:
			return found{}, err
		default:
			some.servers = append(some.servers, s)
		}
	}
	some.isWhole = true
	return some, nil
}

// refreshEvery is how often the list is read, or the default if it is read only once.
func (f *Fleet) refreshEvery() time.Duration {
	if f.cfg.Refresh < 0 {
		return 5 * time.Minute
	}
	return f.cfg.Refresh
}

// refresh is the goroutine that reads the list again and again.
func (f *Fleet) refresh() error {
	if f.cfg.Refresh < 0 {
		return nil
	}
	ticker := time.NewTicker(f.cfg.Refresh)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-f.soft.Done():
			return nil
		}
		began := time.Now()
		found, err := f.find(f.soft, 0)
		found.began = began
		if f.soft.Err() != nil {
			return nil
		}
		if err = f.judged(err); err != nil {
			f.cfg.Logger.Warn("the list of servers could not be read", "error", err)
			f.report(Error{Err: err})
			continue
		}
		f.apply(found)
	}
}

// apply adds, updates and removes members by what was found.
func (f *Fleet) apply(found found) {
	listed := make(map[string]bool, len(found.servers))
	f.mu.Lock()
	for _, s := range found.servers {
		listed[s.UUID] = true
		if m := f.member(s.UUID); m != nil && !f.removed[s.UUID] {
			f.update(m, s)
		}
	}
	f.listed = found.servers
	f.choose()
	gone := make(map[*member]*client)
	for _, m := range f.members { // a server added while the list was read may not be in it
		if found.isWhole && !listed[m.server.UUID] && !m.byHand && m.added.Before(found.began) {
			gone[m] = m.client
		}
	}
	isUnknown := make(map[string]bool)
	for _, name := range found.unknown {
		if !found.isWhole || f.member(name) != nil {
			continue
		}
		isUnknown[name] = true
		if !f.unknown[name] { // report each name once
			err := fmt.Errorf("%w: the panel does not know %q, or the key's user may not open it", ErrServerNotFound, name)
			f.source(name, 1).Push(FleetEvent{name, time.Now(), ServerRemoved{Server{ID: name}, err}})
		}
	}
	f.unknown = isUnknown
	f.admitLocked()
	f.mu.Unlock()
	for m, c := range gone {
		m.leave(c, fmt.Errorf("%w: the panel no longer lists it", ErrServerNotFound))
	}
	f.announce()
}

// choose starts the listed servers that belong to the fleet and are not in it, and lets go of the members that
// FleetConfig.Select no longer picks. The caller holds f.mu.
func (f *Fleet) choose() {
	for _, s := range f.listed {
		m := f.member(s.UUID)
		switch isPicked := f.cfg.Select == nil || f.cfg.Select(s); {
		case f.removed[s.UUID]:
		case !isPicked && m != nil && !m.byHand:
			m.leaveLocked(m.client, errClosing)
		case !isPicked:
		case m == nil:
			f.add(s, false)
		case m.gone || m.hasEnded() && time.Since(m.ended) >= againAfter:
			f.restart(m)
		}
	}
}

// Reselect calls FleetConfig.Select for each server in the panel's last list, without asking the panel again. It
// connects to the servers that Select picks now. Those that Select no longer picks leave the fleet as by Remove, but a
// later Reselect or refresh may bring them back. Reselect returns at once, so the consumer may call it.
func (f *Fleet) Reselect() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.choose()
	f.admitLocked()
	f.announce()
}

// update gives a member what the panel now tells about its server. The caller holds f.mu.
func (f *Fleet) update(m *member, s Server) {
	if m.server != s {
		m.server = s
		if m.shown {
			m.push(ServerChanged{s})
		}
	}
	m.setHold(isUnavailable, !s.isAvailable() && f.cfg.Refresh > 0)
}
