package mfer

import (
	"fmt"
	"io"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// cursor walks over the file, a window at a time.
type cursor struct {
	file ecg.File
	pos  int64
	buf  []byte
	from int64 // of buf
}

const window = 16 << 10

// bytes returns the next n bytes, at most a window. They are overwritten by the next call.
func (c *cursor) bytes(n int) ([]byte, error) {
	if int64(n) > c.file.Size-c.pos {
		return nil, reject.At(reject.Truncated, op, c.pos, "the file ends within a tag")
	}
	if c.pos < c.from || c.pos+int64(n) > c.from+int64(len(c.buf)) {
		if c.buf == nil {
			c.buf = make([]byte, 0, window)
		}
		size := min(window, c.file.Size-c.pos)
		c.buf, c.from = c.buf[:size], c.pos
		if got, err := c.file.At.ReadAt(c.buf, c.pos); int64(got) < size {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			c.buf = c.buf[:0]
			return nil, fmt.Errorf("mfer: read: %w", err)
		}
	}
	b := c.buf[c.pos-c.from:][:n]
	c.pos += int64(n)
	return b, nil
}

func (c *cursor) one() (byte, error) {
	b, err := c.bytes(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// indefinite is the length of a value that ends with 00 00.
const indefinite = -1

// length reads a BER length (ISO 8825-1 §8.1.3). Leading zeros are allowed, lengths beyond 2⁴⁸ are not.
func (c *cursor) length() (int64, error) {
	first, err := c.one()
	if err != nil || first < 0x80 {
		return int64(first), err
	}
	if first == 0x80 {
		return indefinite, nil
	}
	b, err := c.bytes(int(first & 0x7F))
	if err != nil {
		return 0, err
	}
	n := int64(0)
	for _, v := range b {
		if n >= 1<<40 {
			return 0, reject.At(reject.Malformed, op, c.pos, "a length beyond any file")
		}
		n = n<<8 | int64(v)
	}
	return n, nil
}

// channelNumber reads the number behind tag 3FH: seven bits a byte, the last without the highest bit.
func (c *cursor) channelNumber() (int, error) {
	n := 0
	for range 3 {
		b, err := c.one()
		if err != nil {
			return 0, err
		}
		n = n<<7 | int(b&0x7F)
		if b < 0x80 {
			return n, nil
		}
	}
	return 0, reject.At(reject.Malformed, op, c.pos, "a channel number of more than three bytes")
}
