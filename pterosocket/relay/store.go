package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// ErrNATS means that NATS cannot be used as it is. The message says what to change.
var ErrNATS = errors.New("this NATS cannot hold a relay")

// A store is what a relay keeps in JetStream.
type store struct {
	js     jetstream.JetStream
	stream jetstream.Stream
	leases jetstream.KeyValue
	states jetstream.KeyValue
	tokens jetstream.KeyValue
}

// openStore makes the stream and the buckets, or checks those that are there.
func openStore(ctx context.Context, nc *nats.Conn, cfg Config) (*store, error) {
	if err := checkVersion(nc.ConnectedServerVersion()); err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNATS, err)
	}
	s := &store{js: js}
	if s.stream, err = openStream(ctx, js, cfg.Stream); err != nil {
		return nil, unusable(err)
	}
	if s.leases, err = openLeases(ctx, js, cfg); err != nil {
		return nil, unusable(err)
	}
	s.states, err = bucket(ctx, js, jetstream.KeyValueConfig{
		Bucket: stateBucket, Description: "pterosocket: the newest snapshot of each server", Replicas: max(1, cfg.Stream.Replicas),
	})
	if err != nil {
		return nil, unusable(err)
	}
	s.tokens, err = bucket(ctx, js, jetstream.KeyValueConfig{
		Bucket: tokenBucket, Description: "pterosocket: each server's token, encrypted", TTL: tokensFor, Replicas: max(1, cfg.Stream.Replicas),
	})
	return s, unusable(err)
}

// isMissing reports whether the stream or a bucket is gone.
func (s *store) isMissing(ctx context.Context) (bool, error) {
	for _, name := range []string{streamName, "KV_" + leaseBucket, "KV_" + stateBucket, "KV_" + tokenBucket} {
		_, err := s.js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// checkVersion refuses a server without atomic batches.
func checkVersion(version string) error {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	if err1 == nil && err2 == nil && (a < 2 || a == 2 && b < 12) {
		return fmt.Errorf("%w: its version is %s; use 2.12 or later, which has atomic batches", ErrNATS, version)
	}
	return nil
}

// openStream makes the stream of events, or checks the one that is there.
func openStream(ctx context.Context, js jetstream.JetStream, limits Stream) (jetstream.Stream, error) {
	stream, err := js.Stream(ctx, streamName)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name: streamName, Description: "pterosocket: the events of game servers",
			Subjects: []string{eventPrefix + ">"}, Storage: jetstream.FileStorage,
			MaxAge: cmp.Or(limits.MaxAge, defaultMaxAge), MaxBytes: cmp.Or(limits.MaxBytes, defaultMaxBytes),
			Replicas: max(1, limits.Replicas), AllowDirect: true, AllowAtomicPublish: true,
		})
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another relay was faster
			stream, err = js.Stream(ctx, streamName)
		}
	}
	if err != nil {
		return nil, err
	}
	have := stream.CachedInfo().Config
	if wrong := misshapen(have); wrong != "" {
		return nil, fmt.Errorf("%w: the stream %s is not what a relay makes: %s; delete it, or use another account", ErrNATS, streamName, wrong)
	}
	want := have
	want.MaxAge, want.MaxBytes = cmp.Or(limits.MaxAge, have.MaxAge), cmp.Or(limits.MaxBytes, have.MaxBytes)
	want.Replicas = cmp.Or(limits.Replicas, have.Replicas)
	if want.MaxAge == have.MaxAge && want.MaxBytes == have.MaxBytes && want.Replicas == have.Replicas {
		return stream, nil
	}
	want.Duplicates = min(want.Duplicates, want.MaxAge)
	return js.UpdateStream(ctx, want)
}

// misshapen says why a stream cannot hold the events; "": it can.
func misshapen(c jetstream.StreamConfig) string {
	switch {
	case !slices.Equal(c.Subjects, []string{eventPrefix + ">"}):
		return fmt.Sprintf("its subjects are %q, not %q", c.Subjects, eventPrefix+">")
	case !c.AllowAtomicPublish:
		return "it takes no atomic batches (allow_atomic)"
	case c.Retention != jetstream.LimitsPolicy:
		return fmt.Sprintf("its retention is %v, not by limits", c.Retention)
	case c.MaxMsgSize > 0:
		return "it limits the size of messages (max_msg_size)"
	case c.MaxMsgsPerSubject > 0:
		return "it limits the messages of a subject (max_msgs_per_subject)"
	case c.Discard != jetstream.DiscardOld:
		return "it refuses new messages when it is full (discard: new)"
	}
	return ""
}

// What all relays must agree on is in the lease bucket's metadata.
const (
	metaPartitions = "ptero-partitions"
	metaOrigin     = "ptero-origin"
)

// openLeases makes the bucket of leases, or checks that the relay fits to those that made it.
func openLeases(ctx context.Context, js jetstream.JetStream, cfg Config) (jetstream.KeyValue, error) {
	kv, err := bucket(ctx, js, jetstream.KeyValueConfig{
		Bucket: leaseBucket, Description: "pterosocket: which relay owns which servers", TTL: cfg.Lease, LimitMarkerTTL: cfg.Lease,
		Replicas: max(1, cfg.Stream.Replicas),
		Metadata: map[string]string{metaPartitions: strconv.Itoa(cfg.Partitions), metaOrigin: cfg.Origin},
	})
	if err != nil {
		return nil, err
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return nil, err
	}
	meta := status.Metadata()
	for _, field := range [][3]string{
		{"Partitions", meta[metaPartitions], strconv.Itoa(cfg.Partitions)},
		{"Origin", meta[metaOrigin], cfg.Origin},
		{"Lease", status.TTL().String(), cfg.Lease.String()},
	} {
		if field[1] != field[2] {
			return nil, fmt.Errorf("%w: the relays there have %s %s, and this one has %s; "+
				"to change it, stop all relays and delete the bucket %s", ErrNATS, field[0], field[1], field[2], leaseBucket)
		}
	}
	return kv, nil
}

// bucket opens a bucket, or makes it.
func bucket(ctx context.Context, js jetstream.JetStream, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	kv, err := js.KeyValue(ctx, cfg.Bucket)
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return kv, err
	}
	kv, err = js.CreateKeyValue(ctx, cfg)
	if errors.Is(err, jetstream.ErrBucketExists) { // another relay was faster
		return js.KeyValue(ctx, cfg.Bucket)
	}
	return kv, err
}

// Codes of JetStream's errors that nats.go has no names for.
const (
	codeNoStorage    jetstream.ErrorCode = 10047 // insufficient storage resources
	codeNoMemory     jetstream.ErrorCode = 10028
	codeAccountLimit jetstream.ErrorCode = 10002 // resource limits exceeded for account
	codeStoreFailed  jetstream.ErrorCode = 10077 // a write failed, since the disk is full, for one
)

// explain says what to do about an error of NATS, where that is known.
func explain(err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil, errors.Is(err, ErrNATS):
		return err
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount),
		errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("it has no JetStream; start nats-server with -js, or enable JetStream for the account: %w", err)
	case errors.As(err, &api) && slices.Contains([]jetstream.ErrorCode{codeNoStorage, codeNoMemory, codeAccountLimit, codeStoreFailed}, api.ErrorCode):
		return fmt.Errorf("it has no room; free its disk, or make Stream.MaxBytes smaller: %w", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return fmt.Errorf("no answer: %w", err)
	}
	return err
}

// unusable wraps an error of NATS in ErrNATS.
func unusable(err error) error {
	if err == nil || errors.Is(err, ErrNATS) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNATS, explain(err))
}

// isWrongSequence reports whether a conditional write was refused, since the condition did not hold. A replicated
// stream has a code of its own for that.
func isWrongSequence(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// isTooManyBatches reports whether NATS has as many batches under way as it takes.
func isTooManyBatches(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstreamext.JSErrCodeAtomicPublishTooManyInflight || api.ErrorCode == jetstreamext.JSErrCodeBatchPublishTooManyInflight)
}
