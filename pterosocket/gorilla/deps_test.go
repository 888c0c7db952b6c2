package gorilla_test

// What the suite of package pterosocket needs, which runs in this module.
import (
	_ "github.com/golang-jwt/jwt/v5"
	_ "github.com/google/go-cmp/cmp"
	_ "go.uber.org/goleak"
)
