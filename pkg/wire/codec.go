package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"kforge.dev/kforge/pkg/diag"
)

// Writer writes frames. It is safe for use by many goroutines; a frame and its
// raw bytes are never interleaved with others. It has no buffer of its own: with
// a thousand hosts each one counts, and what is below it sends a write whole.
type Writer struct {
	mu  sync.Mutex
	w   io.Writer
	err error // of an earlier write: what came after it would be out of step
}

// readSize is the buffer of a Reader: most frames fit, and larger ones pass by
// it. What is below it holds bytes back until they are read.
const readSize = 4 << 10

// NewWriter makes a Writer on w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Mark writes one side's mark, before its first frame.
func (w *Writer) Mark(mark string) error {
	return w.send([]byte(mark), nil)
}

// writeSize is the most of a header that is written at once. A write becomes a
// packet, and for the largest one that it sent a connection keeps buffers until
// its end, three times its size: 60 KB for a plan, on each of a thousand hosts.
const writeSize = 4 << 10

// send writes both parts, or fails for good. A small one goes as one write.
func (w *Writer) send(head, raw []byte) error {
	if len(head)+len(raw) <= writeSize {
		head, raw = append(head, raw...), nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	write := func(part []byte) {
		if w.err == nil && len(part) > 0 {
			_, w.err = w.w.Write(part)
		}
	}
	for len(head) > writeSize {
		write(head[:writeSize])
		head = head[writeSize:]
	}
	write(head)
	write(raw)
	return w.err
}

// Write sends a frame with its raw bytes; h.N is set from raw.
func (w *Writer) Write(h Header, raw []byte) error {
	h.N = int64(len(raw))
	line, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encoding %s frame: %w", h.Type, err)
	}
	if len(line) > MaxHeader {
		return diag.New(diag.Internal, "encode frame", "%s header of %d bytes is over the limit of %d", h.Type, len(line), MaxHeader)
	}
	return w.send(append(line, '\n'), raw)
}

// Reader reads frames. It is for one goroutine.
type Reader struct {
	r *bufio.Reader
}

// NewReader makes a Reader on r.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, readSize)}
}

// SkipTo reads up to and including mark and returns what came before it, at
// most max bytes of it. More noise than max is an error of kind transport.
func (r *Reader) SkipTo(mark string, max int) (noise []byte, err error) {
	var seen []byte
	for {
		b, err := r.r.ReadByte()
		if err != nil {
			return seen, err
		}
		seen = append(seen, b)
		if bytes.HasSuffix(seen, []byte(mark)) {
			return seen[:len(seen)-len(mark)], nil
		}
		if len(seen) > max+len(mark) {
			return seen, diag.New(diag.Transport, "wait for handshake", "no mark within the first %d bytes", max)
		}
	}
}

// Read gives the next header and its raw bytes, which are valid until the next
// Read. io.EOF is returned only between frames; inside one it is
// io.ErrUnexpectedEOF.
func (r *Reader) Read() (Header, []byte, error) {
	var h Header
	line, err := r.line()
	if err != nil {
		return h, nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&h); err != nil {
		return h, nil, diag.Wrap(diag.Transport, "decode frame", err)
	}
	if h.N == 0 {
		return h, nil, nil
	}
	if h.N < 0 || h.N > ChunkSize {
		return h, nil, diag.New(diag.Transport, "decode frame", "raw part of %d bytes is outside 0..%d", h.N, ChunkSize)
	}
	raw := make([]byte, h.N)
	if _, err := io.ReadFull(r.r, raw); err != nil {
		return h, nil, unexpected(err)
	}
	return h, raw, nil
}

func (r *Reader) line() ([]byte, error) {
	var line []byte
	for {
		part, err := r.r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case errors.Is(err, bufio.ErrBufferFull) && len(line) <= MaxHeader:
			continue
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, diag.New(diag.Transport, "decode frame", "header is over the limit of %d bytes", MaxHeader)
		case len(line) > 0:
			return nil, unexpected(err)
		default:
			return nil, err
		}
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
