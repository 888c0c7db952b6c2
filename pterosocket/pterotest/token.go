package pterotest

import (
	"crypto/md5" // the panel's own choice of a token id
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What a daemon says of a token that it does not take. The texts are the recorded ones.
var (
	errNoJWT       = errors.New("jwt: no jwt present")
	errExpired     = errors.New("jwt: exp claim is invalid")
	errDenied      = errors.New("jwt: created too far in past (denylist)")
	errNoConnect   = errors.New("jwt: missing connect permission")
	errWrongServer = errors.New("jwt: server uuid mismatch")
	errUnreadable  = errors.New("jwt: HMAC verification failed") // masked on its way to most clients
)

func isJWTError(err error) bool {
	for _, known := range []error{errNoJWT, errExpired, errDenied, errNoConnect, errWrongServer} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

type claims struct {
	jwt.RegisteredClaims
	UserUUID    string   `json:"user_uuid"`
	ServerUUID  string   `json:"server_uuid"`
	Permissions []string `json:"permissions"`
	Scope       string   `json:"scope,omitempty"`
	UserID      int      `json:"user_id,omitempty"`
	UniqueID    string   `json:"unique_id"`
}

const userUUID = "11111111-2222-4333-8444-555555555555"

// sign issues a token as the panel does, with whole seconds.
func (s *Server) sign() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.issued++
	sum := md5.Sum([]byte(userUUID + s.uuid)) // see above
	id := hex.EncodeToString(sum[:])
	c := claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    s.origin,
			Audience:  jwt.ClaimStrings{s.nodeURL(s.node)},
			ID:        id,
			IssuedAt:  jwt.NewNumericDate(now),
			NotBefore: jwt.NewNumericDate(now.Add(-5 * time.Minute)),
			ExpiresAt: jwt.NewNumericDate(now.Add(s.cfg.TokenLifetime)),
		},
		UserUUID:    userUUID,
		ServerUUID:  s.uuid,
		Permissions: s.permissions,
		UniqueID:    strconv.FormatInt(int64(s.issued), 16),
	}
	switch s.cfg.Dialect {
	case Pterodactyl:
		c.UserID = 1
	case Pelican:
		c.Scope = "websocket"
	}
	secret := s.secret
	if s.tokenFault == WrongServer {
		c.ServerUUID = "ffffffff-ffff-4fff-8fff-ffffffffffff"
	}
	if s.tokenFault == BadSignature {
		secret = []byte("another key")
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	token.Header["jti"] = id
	signed, err := token.SignedString(secret)
	if err != nil {
		panic("pterotest: signing a token: " + err.Error()) // HS256 with a key of bytes cannot fail
	}
	return signed
}

// Credentials returns a fresh token and the URL of the daemon's websocket. It is for tests with their own source of
// credentials. It does not ask the panel, so such a source itself has to return the panel's refusals.
func (s *Server) Credentials() (token, socket string) {
	s.mu.Lock()
	node := s.node
	s.mu.Unlock()
	return s.sign(), s.socketURL(node)
}

// parse reads a token as a daemon does when it comes with auth: the server's uuid it checks only later.
func (s *Server) parse(token string) (*claims, error) {
	var c claims
	_, err := jwt.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return s.secret, nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithoutClaimsValidation())
	if err != nil {
		return nil, errUnreadable
	}
	if err := s.check(&c); err != nil && (!errors.Is(err, errWrongServer) || s.cfg.Dialect == Calagopus) {
		return nil, err
	}
	return &c, nil
}

// check tells whether a token is still good, in the daemon's order of questions.
func (s *Server) check(c *claims) error {
	s.mu.Lock()
	denied, expired := s.denied, s.expired
	s.mu.Unlock()
	number := int64(0)
	if c != nil {
		number, _ = strconv.ParseInt(c.UniqueID, 16, 64)
	}
	switch {
	case c == nil:
		return errNoJWT
	case c.ExpiresAt == nil || s.now().Unix() > c.ExpiresAt.Unix() || number <= int64(expired):
		return errExpired
	case c.IssuedAt == nil || c.IssuedAt.Before(denied):
		return errDenied
	case !c.can("websocket.connect"):
		return errNoConnect
	case c.ServerUUID != s.uuid:
		return errWrongServer
	}
	return nil
}

// can reports whether the token allows p; "*" does not cover admin permissions.
func (c *claims) can(p string) bool {
	for _, have := range c.Permissions {
		if have == p || have == "*" && (len(p) < 5 || p[:5] != "admin") {
			return true
		}
	}
	return false
}
