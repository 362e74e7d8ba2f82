package web

import (
	"context"
	"encoding/binary"
	"math"
	"net/http"
	"strconv"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

const (
	// ecgBuckets is how finely a whole recording is shown: a day in pieces of 43 s, two a pixel of a wide window.
	ecgBuckets = 2000

	ecgOverviewsKept = 8 // of one recording, 16 KB each
	ecgPasses        = 2
)

// ecgOverview is one lead from end to end: the least and the greatest count of each of at most ecgBuckets pieces.
type ecgOverview struct {
	group, lead int
	each        int64      // samples of a piece
	pieces      [][2]int32 // {1, 0} for a piece without a sample
}

// overview sends the whole of a lead in short.
//
//	0  4  "ECGO"
//	4  4  pieces
//	8  8  samples of each piece but the last
//	16 …  least and greatest count of each piece, 32 bits each; 1 and 0 for a piece without a sample
func (e *ecgPages) overview(w http.ResponseWriter, r *http.Request, rec *ecgRecord) error {
	q := r.URL.Query()
	group, err := ecgGroup(q, rec.Recording)
	if err != nil {
		return err
	}
	lead, err := ecgWhole(q, "lead", 0)
	if err != nil {
		return err
	}
	if lead >= int64(len(rec.Groups[group].Leads)) {
		return errECGGroup
	}
	o, err := e.overviewOf(r.Context(), rec, group, int(lead))
	if err != nil {
		return err
	}
	body := append(make([]byte, 0, 16+8*len(o.pieces)), "ECGO"...)
	body = binary.LittleEndian.AppendUint32(body, uint32(len(o.pieces)))
	body = binary.LittleEndian.AppendUint64(body, uint64(o.each))
	for _, p := range o.pieces {
		body = binary.LittleEndian.AppendUint32(body, uint32(p[0]))
		body = binary.LittleEndian.AppendUint32(body, uint32(p[1]))
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the client may be gone
	return nil
}

func (r *ecgRecord) overviewMade(group, lead int) (ecgOverview, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.overviews {
		if o.group == group && o.lead == lead {
			return o, true
		}
	}
	return ecgOverview{}, false
}

// overviewOf reads the group once, block by block, unless somebody asked before.
func (e *ecgPages) overviewOf(ctx context.Context, rec *ecgRecord, group, lead int) (ecgOverview, error) {
	if o, ok := rec.overviewMade(group, lead); ok {
		return o, nil
	}
	select {
	case e.passes <- struct{}{}:
		defer func() { <-e.passes }()
	case <-ctx.Done():
		return ecgOverview{}, ctx.Err()
	}
	if o, ok := rec.overviewMade(group, lead); ok {
		return o, nil
	}
	o, err := makeECGOverview(ctx, rec.Groups[group], group, lead)
	if err != nil {
		return o, err
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if len(rec.overviews) == ecgOverviewsKept {
		rec.overviews = rec.overviews[1:]
	}
	rec.overviews = append(rec.overviews, o)
	return o, nil
}

func makeECGOverview(ctx context.Context, g *ecg.Group, group, lead int) (ecgOverview, error) {
	o := ecgOverview{group: group, lead: lead, each: max(1, (g.Length+ecgBuckets-1)/ecgBuckets)}
	o.pieces = make([][2]int32, (g.Length+o.each-1)/o.each)
	for i := range o.pieces {
		o.pieces[i] = [2]int32{math.MaxInt32, math.MinInt32}
	}
	err := eachECGBlock(g, 0, func(b *ecg.Block) (bool, error) {
		if lead >= len(b.Counts) {
			return false, nil
		}
		for j, v := range b.Counts[lead][:b.Len] {
			if i := (b.Start + int64(j)) / o.each; i < int64(len(o.pieces)) && !b.IsMissing(lead, j) {
				p := &o.pieces[i]
				p[0], p[1] = min(p[0], v), max(p[1], v)
			}
		}
		return true, ctx.Err()
	})
	for i, p := range o.pieces {
		if p[0] > p[1] {
			o.pieces[i] = [2]int32{1, 0}
		}
	}
	return o, err
}
