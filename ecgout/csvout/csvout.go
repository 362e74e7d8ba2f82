// Package csvout writes a group of a recording as CSV (RFC 4180): the time in ms after the group's start, then
// a column for each lead with its values as exact decimals, in µV or in the unit that the column names. A
// missing sample is an empty field. It streams.
package csvout

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"strconv"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// places is how many decimals a number has that no decimal says exactly (a third), and the most that any has.
const (
	roundedPlaces = 6
	mostPlaces    = 15
)

// Write writes g. exact is false when some numbers are rounded to six decimals, because their step or the rate
// is no decimal fraction.
func Write(w io.Writer, g *ecg.Group) (exact bool, err error) {
	r, err := g.Samples()
	if err != nil {
		return false, err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	header := []string{"time_ms"}
	for i := range g.Leads {
		header = append(header, column(&g.Leads[i]))
	}
	c := csv.NewWriter(out)
	if err := c.Write(header); err != nil {
		return false, err
	}
	c.Flush()
	period, _ := ecg.Int(1000).Quo(g.Rate)
	clock := newDecimals(period, ecg.Rat{})
	exact = clock.exact
	leads := make([]decimals, len(g.Leads))
	for i := range g.Leads {
		leads[i] = newDecimals(g.Leads[i].Scale, g.Leads[i].Baseline)
		exact = exact && leads[i].exact
	}
	var b ecg.Block
	var line []byte
	for {
		if err := r.Next(&b); errors.Is(err, io.EOF) {
			return exact, out.Flush()
		} else if err != nil {
			return exact, errors.Join(err, out.Flush())
		}
		for j := range b.Len {
			line = clock.append(line[:0], b.Start+int64(j))
			for i := range leads {
				line = append(line, ',')
				if !b.IsMissing(i, j) {
					line = leads[i].append(line, int64(b.Counts[i][j]))
				}
			}
			if _, err := out.Write(append(line, '\n')); err != nil {
				return exact, err
			}
		}
	}
}

// column names a lead's column, with its unit.
func column(l *ecg.Lead) string {
	name := l.Name
	if name == "" {
		name = l.Label
	}
	switch {
	case l.Voltage():
		return name + "_uV"
	case l.Unit == "":
		return name
	}
	return name + "_" + l.Unit
}

// decimals writes n·step + base as a decimal, in integers where they hold it.
type decimals struct {
	step, base ecg.Rat
	exact      bool

	mul, add int64 // in units of 10^-places
	places   int
	unit     int64 // 10^places
	largest  int64 // n up to which mul·n + add fits
}

func newDecimals(step, base ecg.Rat) decimals {
	d := decimals{step: step, base: base}
	for places := 0; places <= mostPlaces; places++ {
		mul, ok := step.Pow10(places).Int64()
		add, ok2 := base.Pow10(places).Int64()
		if !ok || !ok2 || mul == math.MinInt64 {
			continue
		}
		d.exact, d.mul, d.add, d.places = true, mul, add, places
		d.unit = 1
		for range places {
			d.unit *= 10
		}
		if a := max(mul, -mul); a > 0 && add < math.MaxInt64/2 && add > -math.MaxInt64/2 {
			d.largest = (math.MaxInt64/2 - 1) / a
		}
		return d
	}
	return d
}

func (d *decimals) append(dst []byte, n int64) []byte {
	if !d.exact {
		return strconv.AppendFloat(dst, ecg.Int(n).Mul(d.step).Add(d.base).Float64(), 'f', roundedPlaces, 64)
	}
	if n > d.largest || n < -d.largest {
		return append(dst, ecg.Int(n).Mul(d.step).Add(d.base).String()...)
	}
	v := n*d.mul + d.add
	if v < 0 {
		dst, v = append(dst, '-'), -v
	}
	dst = strconv.AppendInt(dst, v/d.unit, 10)
	rest := v % d.unit
	if rest == 0 {
		return dst
	}
	dst = append(dst, '.')
	for scale := d.unit / 10; rest > 0; scale /= 10 {
		dst = append(dst, byte('0'+rest/scale))
		rest %= scale
	}
	return dst
}
