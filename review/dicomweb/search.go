package dicomweb

import (
	"context"
	"errors"
	"net/http"

	"github.com/tributary-dicom/tributary/storage/index"
)

var jsonOffers = []offer{{name: typeDICOMJSON}, {name: typeJSON}}

// jsonType picks the media type of a JSON answer. Native DICOM XML (PS3.19 §A) is not written: every
// client that we know takes JSON.
func jsonType(accept []mediaRange) (string, error) {
	c := choices(accept, jsonOffers)
	if len(c) == 0 {
		return "", notAcceptable(jsonOffers, "this resource is JSON only")
	}
	return c[0].name, nil
}

// search serves a search transaction (PS3.18 §10.6) of one level. No match is 200 with an empty array,
// which every client reads; 204, which the standard allows too, some do not.
func (s *server) search(level index.Level) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		sc, err := s.scope(r)
		if err != nil {
			return err
		}
		params, err := parseParams(r.URL.RawQuery)
		if err != nil {
			return err
		}
		contentType, err := jsonType(acceptOf(r, params))
		if err != nil {
			return err
		}
		q, err := parseSearch(params)
		if err != nil {
			return err
		}
		standard := s.DefaultLimit
		if sc.StudyInstanceUID != "" {
			standard = s.MaxLimit
		}
		q.clampPage(standard, s.MaxLimit)
		asked, err := s.askPriors(r, level, sc, &q)
		if err != nil {
			return err
		}
		if asked != nil {
			asked.narrow(&q)
		}
		rows, more, err := s.rows(r.Context(), level, sc, &q)
		if err != nil {
			return err
		}
		if asked != nil {
			rows = asked.keep(&q, rows)
		}
		return s.writeRows(w, r, contentType, level, sc, q, rows, more)
	}
}

// rows asks the index for one page, and whether there are rows beyond it.
func (s *server) rows(ctx context.Context, level index.Level, sc index.Scope, q *request) (rows []index.Row, more bool, err error) {
	ask := index.Query{Tenant: sc.Tenant, Level: level, Fuzzy: q.fuzzy, OrderBy: q.order, Limit: q.limit + 1, Offset: q.offset}
	for _, m := range [...]struct{ keyword, value string }{
		{"StudyInstanceUID", sc.StudyInstanceUID}, {"SeriesInstanceUID", sc.SeriesInstanceUID},
	} {
		if m.value != "" {
			ask.Matches = append(ask.Matches, index.Match{Keyword: m.keyword, Values: []string{m.value}})
		}
	}
	pinned := len(ask.Matches)
	ask.Matches = append(ask.Matches, q.matches...)
	rows, err = s.ask(ctx, ask)
	if errors.Is(err, index.ErrUnsupportedMatch) {
		if err := s.dropUnsupported(ctx, &ask, pinned, q); err != nil {
			return nil, false, err
		}
		rows, err = s.ask(ctx, ask)
	}
	if err != nil {
		return nil, false, err
	}
	if len(rows) > q.limit {
		return rows[:q.limit], true, nil
	}
	return rows, false, nil
}

// dropUnsupported takes matching and sort keys out of ask that the index does not hold (PS3.18 §8.3.4.1
// has the server ignore them and say so). The index refuses a query as a whole, so each key is tried.
func (s *server) dropUnsupported(ctx context.Context, ask *index.Query, pinned int, q *request) error {
	probe := func(p index.Query) (bool, error) {
		p.Tenant, p.Level, p.Limit = ask.Tenant, ask.Level, 1
		_, err := s.ask(ctx, p)
		if errors.Is(err, index.ErrUnsupportedMatch) {
			return true, nil
		}
		return false, err
	}
	kept := ask.Matches[:pinned:pinned]
	for _, m := range ask.Matches[pinned:] {
		unsupported, err := probe(index.Query{Matches: []index.Match{m}})
		if err != nil {
			return err
		}
		if unsupported {
			q.warn("matching on %s is not supported and was ignored", m.Keyword)
			continue
		}
		kept = append(kept, m)
	}
	var order []index.Order
	for _, o := range ask.OrderBy {
		unsupported, err := probe(index.Query{OrderBy: []index.Order{o}})
		if err != nil {
			return err
		}
		if unsupported {
			q.warn("orderby %s is not supported and was ignored", o.Keyword)
			continue
		}
		order = append(order, o)
	}
	ask.Matches, ask.OrderBy = kept, order
	return nil
}

func (s *server) ask(ctx context.Context, q index.Query) ([]index.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	return s.Index.Search(ctx, q)
}

// errStop ends a walk over objects early.
var errStop = errors.New("seen enough")

// header returns the recorded header of the row's first instance, nil when it has none by now. It asks
// per row instead of Query.WithHeader, so that one header of up to 16 MiB is in memory and not a page
// of them.
func (s *server) header(ctx context.Context, sc index.Scope, row index.Row) ([]byte, error) {
	sc.StudyInstanceUID = row.Attributes["StudyInstanceUID"]
	sc.SeriesInstanceUID = row.Attributes["SeriesInstanceUID"]
	sc.SOPInstanceUID = row.Attributes["SOPInstanceUID"]
	if row.Header != nil || sc.StudyInstanceUID == "" {
		return row.Header, nil
	}
	o, err := s.first(ctx, sc, index.Want{Header: true})
	if errors.Is(err, index.ErrNotFound) {
		err = nil
	}
	return o.Header, err
}

// first returns the first current object of a scope, or index.ErrNotFound.
func (s *server) first(ctx context.Context, sc index.Scope, want index.Want) (found index.Object, err error) {
	seen := false
	err = s.objects(ctx, sc, want, func(o index.Object) error {
		found, seen = o, true
		return errStop
	})
	switch {
	case seen:
		return found, nil
	case err == nil:
		err = index.ErrNotFound
	}
	return found, err
}

// objects asks the index for the current objects of a scope.
func (s *server) objects(ctx context.Context, sc index.Scope, want index.Want, fn func(index.Object) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	return s.Index.Objects(ctx, sc, want, func(o index.Object) error {
		if !o.Current {
			return nil
		}
		return fn(o)
	})
}

func (s *server) writeRows(w http.ResponseWriter, r *http.Request, contentType string, level index.Level, sc index.Scope,
	q request, rows []index.Row, more bool,
) error {
	d := renderer{level: level, plan: extend(defaults(level, sc), level, q.include), all: q.all, url: s.PublicURL, base: s.Prefix}
	if more {
		q.warnings = append(q.warnings, "There are additional results that can be requested")
	}
	for _, text := range q.warnings {
		w.Header().Add("Warning", `299 tributary "`+text+`"`) // PS3.18 §8.3.4, RFC 7234 §5.5
	}
	out := newJSONBody(w, r, contentType)
	defer out.release()
	bail := func(err error) error {
		if out.started {
			s.broken(r, err)
		}
		return err
	}
	line := make([]byte, 0, 4<<10)
	sep := byte('[')
	for _, row := range rows {
		var header []byte
		if d.needsHeader(row) {
			var err error
			if header, err = s.header(r.Context(), sc, row); err != nil {
				return bail(err)
			}
		}
		line = append(line[:0], sep)
		sep = ','
		var err error
		if line, err = d.append(line, row, header); err != nil {
			return bail(err)
		}
		if _, err = out.Write(line); err != nil {
			return bail(err)
		}
	}
	end := "]"
	if sep == '[' {
		end = "[]"
	}
	if _, err := out.Write([]byte(end)); err != nil {
		return bail(err)
	}
	if err := out.Close(); err != nil {
		s.broken(r, err)
	}
	return nil
}
