package panel

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// Claims are what a token says about itself. They are read without checking the signature: only the daemon has the key,
// and nothing here is decided by them but when to renew and what is pointless to ask for.
type Claims struct {
	Lifetime    time.Duration // exp - iat; 0 when the token does not say
	Permissions []string      // nil when the token does not say
	Scoped      bool          // it has a scope, as those of Pelican and Pterodactyl 1.12 have
}

// ParseClaims reads the claims of a JWT; it returns the zero Claims for a token that is none. The lifetime is the
// difference of two times by the panel's clock, to be counted from the moment of receipt: the clocks of panel, daemon
// and client differ.
func ParseClaims(token string) Claims {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Claims{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return Claims{}
	}
	var claims struct {
		Exp         float64  `json:"exp"`
		Iat         float64  `json:"iat"`
		Permissions []string `json:"permissions"`
		Scope       any      `json:"scope"`
		Scopes      any      `json:"scopes"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return Claims{}
	}
	out := Claims{Permissions: claims.Permissions, Scoped: claims.Scope != nil || claims.Scopes != nil}
	if seconds := claims.Exp - claims.Iat; claims.Iat > 0 && seconds > 0 && seconds < 365*24*60*60 {
		out.Lifetime = time.Duration(seconds * float64(time.Second))
	}
	return out
}
