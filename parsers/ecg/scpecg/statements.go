package scpecg

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// reading is the head of sections 8 and 11: how far a reading has come, when, and how many statements follow.
type reading struct {
	status ecg.Status
	author ecg.Author
	name   string
	time   ecg.Time
	count  int
}

// readReading reads the head (§5.11, §5.14): 0 is the machine's report, 1 a confirmed one, 2 one that was
// read and not confirmed.
func (d *decoder) readReading(f *fields) reading {
	r := reading{status: ecg.Unconfirmed, author: ecg.Machine}
	switch f.u8() {
	case 1:
		r.status, r.author, r.name = ecg.Confirmed, ecg.OverRead, d.header.confirmer
	case 2:
		r.author = ecg.OverRead
	}
	when := clock{date: true, time: true}
	when.year, when.month, when.day = f.u16(), f.u8(), f.u8()
	when.hour, when.minute, when.second = f.u8(), f.u8(), f.u8()
	r.time = when.acquired(d.header.zone)
	r.count = f.u8()
	return r
}

func (d *decoder) statement(s ecg.Statement) {
	if len(d.rec.Statements) >= d.lim.Statements {
		d.rec.Warn(ecg.WarnAnnotationsCut, "statements")
		return
	}
	d.rec.Statements = append(d.rec.Statements, s)
}

// section8 reads the statements in words.
func (d *decoder) section8() error {
	b, ok, err := d.body(8, false)
	if err != nil || !ok {
		return err
	}
	f := fields{b: b}
	r := d.readReading(&f)
	for i := range r.count {
		f.u8() // number in sequence
		text := f.take(f.u16())
		if f.short {
			break
		}
		if s := d.string(text, fmt.Sprintf("section 8 statement %d", i+1)); s != "" {
			d.statement(ecg.Statement{Text: s, Author: r.author, Status: r.status, Name: r.name, Time: r.time})
		}
	}
	if f.short {
		d.rec.Warn(ecg.WarnTruncated, where(8))
	}
	return nil
}

// Kinds of statement in section 11.
const (
	statementCoded = 1
	statementText  = 2
	statementLogic = 3
)

// section11 reads the universal statements: codes of Annex B with modifiers, words, or logic that joins them.
func (d *decoder) section11() error {
	b, ok, err := d.body(11, false)
	if err != nil || !ok {
		return err
	}
	f := fields{b: b}
	r := d.readReading(&f)
	for i := range r.count {
		f.u8() // number in sequence
		body := fields{b: f.take(f.u16())}
		if f.short {
			break
		}
		where := fmt.Sprintf("section 11 statement %d", i+1)
		s := ecg.Statement{Author: r.author, Status: r.status, Name: r.name, Time: r.time}
		switch kind := body.u8(); kind {
		case statementText:
			s.Text = d.string(body.b, where)
		case statementCoded, statementLogic:
			var parts []string
			for _, part := range bytes.SplitN(body.b, []byte{0}, 64) {
				if text := d.string(part, where); text != "" {
					parts = append(parts, text)
				}
			}
			s.Code = strings.Join(parts, " ")
			s.Text = s.Code
		default:
			d.rec.Warn(ecg.WarnUnsupportedPart, where)
		}
		if s.Text != "" {
			d.statement(s)
		}
	}
	if f.short {
		d.rec.Warn(ecg.WarnTruncated, where(11))
	}
	return nil
}
