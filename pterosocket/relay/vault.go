package relay

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pterosocket/pterosocket-go/pterosocket"
)

// tokensFor is how long tokens are kept; panels issue them for ten minutes.
const tokensFor = 10 * time.Minute

// A vault keeps the servers' tokens in NATS, so that a relay that takes over a thousand servers need not ask the panel a
// thousand times. They are encrypted with a key made from the panel's API key, which every relay has and NATS has not.
// Whatever goes wrong with a vault, the panel is asked instead.
type vault struct {
	tokens jetstream.KeyValue
	aead   cipher.AEAD
}

func newVault(tokens jetstream.KeyValue, apiKey string) (*vault, error) {
	key, err := hkdf.Key(sha256.New, []byte(apiKey), nil, "pterosocket relay tokens", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &vault{tokens, aead}, err
}

// A secret is what is encrypted.
type secret struct {
	Token  string    `json:"token"`
	Socket string    `json:"socket"`
	Asked  time.Time `json:"asked"`
}

// put stores a server's token.
func (v *vault) put(ctx context.Context, server string, t pterosocket.IssuedToken) error {
	text, err := json.Marshal(secret{t.Credentials.Token, t.Socket, t.Asked})
	if err != nil {
		return err
	}
	nonce := make([]byte, v.aead.NonceSize(), v.aead.NonceSize()+len(text)+v.aead.Overhead())
	_, _ = rand.Read(nonce) // it never fails
	_, err = v.tokens.Put(ctx, server, v.aead.Seal(nonce, nonce, text, []byte(server)))
	return err
}

// get returns a server's token; the zero value: there is none that can be used.
func (v *vault) get(ctx context.Context, server string) (t pterosocket.IssuedToken) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	entry, err := v.tokens.Get(ctx, server)
	if err != nil || len(entry.Value()) < v.aead.NonceSize() {
		return t
	}
	sealed := entry.Value()
	text, err := v.aead.Open(nil, sealed[:v.aead.NonceSize()], sealed[v.aead.NonceSize():], []byte(server))
	var s secret
	if err != nil || json.Unmarshal(text, &s) != nil { // another API key's
		return t
	}
	return pterosocket.IssuedToken{Credentials: pterosocket.Credentials{Token: s.Token, Socket: s.Socket}, Asked: s.Asked}
}

// keepTokens stores the tokens of the relay's servers, until ctx ends.
func (r *Relay) keepTokens(ctx context.Context) {
	stored := make(map[string]time.Time) // when a server's stored token was asked for
	every(ctx, time.Second, func() { r.storeTokens(ctx, stored) })
}

func (r *Relay) storeTokens(ctx context.Context, stored map[string]time.Time) {
	if !r.nc.IsConnected() {
		return
	}
	for _, s := range r.fleet.Snapshot() {
		id := s.Server.ID
		commands, err := r.fleet.Commands(id)
		if err != nil { // it has just left
			continue
		}
		token, ok := commands.Token()
		if !ok || token.Asked.Equal(stored[id]) {
			continue
		}
		if err := r.vault.put(ctx, id, token); err != nil {
			r.log.Debug("a token could not be stored", "server", id, "error", explain(err))
			return // most likely NATS is away
		}
		stored[id] = token.Asked
	}
}
