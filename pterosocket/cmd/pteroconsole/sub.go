package main

import (
	"context"
	"io"
)

func checkSubcommand(args []string) error { return nil }

func subcommand(ctx context.Context, opts options, stdout io.Writer) error { return nil }
