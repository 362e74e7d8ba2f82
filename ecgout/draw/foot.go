package draw

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

func (p *planner) note(w word, names []string) {
	if len(names) > 0 {
		const most = 24
		if more := len(names) - most; more > 0 {
			names = append(slices.Clone(names[:most]), "+ "+itoa(more))
		}
		p.s.Notes = append(p.s.Notes, p.o.Language.word(w)+": "+strings.Join(names, ", "))
	}
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// foot writes what the drawing was made with, and its notes.
func (p *planner) foot() {
	s, o, lang := p.s, p.o, p.o.Language
	scale := decimal(o.Speed) + " mm/s   " + decimal(o.Gain) + " mm/mV"
	y := p.top + p.high
	if o.Thumbnail > 0 {
		if o.Filters.On() {
			scale += "   " + p.filters()
		}
		s.write(inkText, Point{p.left + p.wide, y + p.text*11/10}, p.text*9/10, atEnd, scale)
		return
	}
	if s.Layout == LMedian {
		scale = lang.word(wMedianBeats) + "   " + scale
	}
	size := min(textSize, p.wide/60)
	y += 4300
	right := p.shown()
	s.write(inkText, Point{p.left + p.wide, y}, size, atEnd, right)
	s.fit(inkText, Point{p.left, y}, size, p.wide-s.textWidth(right, size)-3*mm, join("   ", scale, p.filters(), p.recorded()))
	lines := s.wrap(strings.Join(s.Notes, "; "), smallSize, p.wide)
	const room = 2
	if len(lines) > room {
		lines = append(lines[:room-1], lines[room-1]+" …")
	}
	for i, line := range lines {
		s.fit(inkFaint, Point{p.left, y + int32(i+1)*3200}, smallSize, p.wide, line)
	}
}

// filters says what the display does to the samples.
func (p *planner) filters() string {
	lang, f := p.o.Language, p.o.Filters
	if !f.On() {
		return lang.word(wFiltersOff)
	}
	rate := math.Inf(1)
	for _, t := range p.ts.byName {
		for _, src := range t.sources {
			rate = min(rate, p.rec.Groups[src.group].Rate.Float64())
		}
	}
	e := f.effective(rate)
	var parts []string
	add := func(w word, asked, used float64) {
		switch {
		case asked != 0 && used == 0:
			p.s.Notes = append(p.s.Notes, lang.word(w)+" "+decimal(asked)+" Hz "+lang.word(wNoEffect))
		case asked != 0:
			parts = append(parts, lang.word(w)+" "+decimal(asked)+" Hz")
		}
	}
	add(wHighPass, f.HighPassHz, e.HighPassHz)
	add(wLowPass, f.LowPassHz, e.LowPassHz)
	add(wNotch, f.NotchHz, e.NotchHz)
	if len(parts) == 0 {
		return lang.word(wFiltersOff)
	}
	return lang.word(wFilters) + ": " + strings.Join(parts, ", ")
}

// recorded says which filters acted before the recording was stored, where all drawn leads agree.
func (p *planner) recorded() string {
	lang, out := p.o.Language, ""
	for i, name := range p.ts.order {
		src := p.ts.byName[name].sources[0]
		f := p.rec.Groups[src.group].Leads[src.lead].Filters
		band := ""
		if f.HighPassHz.Sign() > 0 || f.LowPassHz.Sign() > 0 {
			side := func(r ecg.Rat) string {
				if r.Sign() > 0 {
					return number(r)
				}
				return ""
			}
			band = side(f.HighPassHz) + "–" + side(f.LowPassHz) + " Hz"
		}
		if f.NotchHz.Sign() > 0 {
			band = join(", ", band, lang.word(wNotch)+" "+number(f.NotchHz)+" Hz")
		}
		if i > 0 && band != out {
			return ""
		}
		out = band
	}
	if out == "" {
		return ""
	}
	return lang.word(wRecorded) + " " + out
}

// shown says which part of the recording is on the paper, and its sampling frequency.
func (p *planner) shown() string {
	src := p.ts.byName[p.ts.order[0]].sources[0]
	rate := number(p.rec.Groups[src.group].Rate) + " Hz"
	if p.s.Layout == LMedian {
		return rate
	}
	total := p.ts.to - p.ts.from
	from := p.s.Start.Seconds()
	to := from + p.s.Length.Seconds()
	clock := func(s float64) string {
		if total < 600 {
			return strconv.FormatFloat(math.Round(s*100)/100, 'f', -1, 64)
		}
		n := int64(math.Round(s))
		return fmt.Sprintf("%d:%02d:%02d", n/3600, n/60%60, n%60)
	}
	unit := ""
	if total < 600 {
		unit = " s"
	}
	out := clock(from) + "–" + clock(to) + unit
	if from > 0 || to < total-0.02 {
		if p.o.Language == Chinese {
			out += "，" + p.o.Language.word(wOf) + clock(total) + unit
		} else {
			out += " " + p.o.Language.word(wOf) + " " + clock(total) + unit
		}
	}
	if at := p.rec.Acquired; from > 0 && at.Valid() && !at.DateOnly {
		out = at.Time.Add(p.s.Start).Format("2006-01-02 15:04:05") + "   " + out
	}
	return out + "   " + rate
}
