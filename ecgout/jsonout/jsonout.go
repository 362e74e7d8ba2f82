// Package jsonout writes a recording as JSON: its ecg.Summary, and on demand the samples as stored.
package jsonout

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// Options of Write.
type Options struct {
	// Hashes reads every sample once for the SHA-256 of each lead's counts and µV.
	Hashes bool

	// Samples adds "samples": for each group its leads, each with its counts over the group's time line
	// as stored, before scaling; null where a sample is missing. A group is read once for each lead, so
	// that memory stays within a block.
	Samples bool
}

// Write writes rec as one JSON object and a line end.
func Write(w io.Writer, rec *ecg.Recording, opt Options) error {
	s, err := rec.Summarize(opt.Hashes)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		return err
	}
	if !opt.Samples {
		_, err := w.Write(text.Bytes())
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	head := bytes.TrimRight(text.Bytes(), "\n}")
	out.Write(head) //nolint:errcheck // Flush tells
	out.WriteString(",\n  \"samples\": [")
	for i, g := range rec.Groups {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString("\n    {\"group\": " + strconv.Itoa(i) + ", \"leads\": [")
		for lead := range g.Leads {
			if lead > 0 {
				out.WriteByte(',')
			}
			if err := samples(out, g, lead); err != nil {
				return err
			}
		}
		out.WriteString("]}")
	}
	out.WriteString("\n  ]\n}\n")
	return out.Flush()
}

func samples(out *bufio.Writer, g *ecg.Group, lead int) error {
	name, err := json.Marshal(g.Leads[lead].Name)
	if err != nil {
		return err
	}
	out.WriteString("\n      {\"name\": ")
	out.Write(name) //nolint:errcheck // Flush tells
	out.WriteString(", \"counts\": [")
	r, err := g.Samples()
	if errors.Is(err, ecg.ErrNoSamples) {
		out.WriteString("]}")
		return nil
	} else if err != nil {
		return err
	}
	var b ecg.Block
	var buf []byte
	for {
		if err := r.Next(&b); errors.Is(err, io.EOF) {
			out.WriteString("]}")
			return nil
		} else if err != nil {
			return err
		}
		buf = buf[:0]
		for j, v := range b.Counts[lead][:b.Len] {
			if b.Start > 0 || j > 0 {
				buf = append(buf, ',')
			}
			if b.IsMissing(lead, j) {
				buf = append(buf, "null"...)
			} else {
				buf = strconv.AppendInt(buf, int64(v), 10)
			}
		}
		if _, err := out.Write(buf); err != nil {
			return err
		}
	}
}
