package message

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRead(t *testing.T) {
	const limit = 1000
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "EOF with the last": iotest.DataErrReader,
	} {
		var buf []byte
		for _, size := range []int{0, 1, 127, 128, 129, limit - 1, limit, limit + 1, 50 * limit, 3} {
			text := bytes.Repeat([]byte("abc"), size/3+1)[:size]
			source := bytes.NewReader(text)
			got, err := Read(wrap(source), buf, limit)
			switch {
			case size > limit:
				if !errors.Is(err, ErrTooLong) || source.Len() != 0 {
					t.Errorf("%s: %d bytes: %v, %d unread", name, size, err, source.Len())
				}
			case err != nil || !bytes.Equal(got, text) || cap(got) > limit+1:
				t.Errorf("%s: %d bytes read as %d in %d, %v", name, size, len(got), cap(got), err)
			default:
				buf = got
			}
		}
	}
	for _, size := range []int{1, 2 * limit} { // an error in the middle, also of what is skipped
		broken := io.MultiReader(bytes.NewReader(make([]byte, size)), iotest.ErrReader(io.ErrUnexpectedEOF))
		if _, err := Read(broken, nil, limit); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes and an error: %v", size, err)
		}
	}
}
