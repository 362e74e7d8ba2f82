package pdfreport

import (
	"bytes"
	"compress/zlib"
	"encoding/ascii85"
	"io"
	"strconv"
)

// Budgets of one file. A report has a page or two, some fonts, and a few megabytes of lines for the waveform.
const (
	maxFile    = 16 << 20 // bytes that are looked at
	maxObjects = 50_000
	maxStream  = 8 << 20  // bytes of one stream, inflated
	maxOutput  = 48 << 20 // of all streams
	maxObject  = 1 << 20  // bytes of one object without its stream
	maxValues  = 500_000  // numbers, names and so on, of all objects
)

// object is an indirect object; data are a stream's bytes as stored.
type object struct {
	value any
	data  []byte
}

// file is the objects of a PDF by number; of two with one number the later counts, as after an update.
type file struct {
	objects   map[int]object
	order     []int
	output    int // bytes inflated so far
	work      int // bytes parsed so far
	values    int // and what they were
	encrypted bool
}

// open reads all objects, in the order of the bytes.
func open(b []byte) *file {
	f := &file{objects: map[int]object{}}
	budget := 2*len(b) + maxObject
	for at := 0; len(f.objects) < maxObjects && f.work < budget && f.values < maxValues; {
		i := bytes.Index(b[at:], []byte("obj"))
		if i < 0 {
			break
		}
		i += at
		number, ok := header(b, i)
		if at = i + 3; !ok {
			continue
		}
		l := &lexer{b: b[at:min(len(b), at+maxObject)]}
		o := object{value: l.next(0)}
		f.work, f.values = f.work+l.at, f.values+l.items
		if l.bad {
			continue
		}
		at += l.at
		if d, ok := o.value.(dict); ok {
			for at < len(b) && blank(b[at]) {
				at++
			}
			if bytes.HasPrefix(b[at:], []byte("stream")) {
				o.data, at = stream(b, at+len("stream"), d)
			}
		}
		if _, have := f.objects[number]; !have {
			f.order = append(f.order, number)
		}
		f.objects[number] = o
	}
	f.encrypted = bytes.Contains(b, []byte("/Encrypt"))
	if !f.encrypted {
		f.unpack()
	}
	return f
}

// header reads "12 0 " in front of the "obj" at i.
func header(b []byte, i int) (number int, ok bool) {
	start := max(0, i-24)
	words := bytes.Fields(b[start:i])
	if i == 0 || !blank(b[i-1]) || len(words) < 2 {
		return 0, false
	}
	generation, digits := words[len(words)-1], words[len(words)-2]
	if _, err := strconv.Atoi(string(generation)); err != nil {
		return 0, false
	}
	for len(digits) > 0 && (digits[0] < '0' || digits[0] > '9') { // "endobj12 0 obj"
		digits = digits[1:]
	}
	number, err := strconv.Atoi(string(digits))
	return number, err == nil && number >= 0 && number < 1<<30
}

// stream returns the bytes of a stream that begins at at, and where it ends. The stated length counts where
// "endstream" follows it.
func stream(b []byte, at int, d dict) (data []byte, end int) {
	if at < len(b) && b[at] == '\r' {
		at++
	}
	if at < len(b) && b[at] == '\n' {
		at++
	}
	if n, ok := d["Length"].(float64); ok && n >= 0 && n <= float64(len(b)-at) {
		end := at + int(n)
		if bytes.HasPrefix(bytes.TrimLeft(b[end:min(len(b), end+16)], " \r\n\t"), []byte("endstream")) {
			return b[at:end], end
		}
	}
	i := bytes.Index(b[at:], []byte("endstream"))
	if i < 0 {
		return b[at:], len(b)
	}
	return b[at : at+i], at + i
}

// unpack adds the objects that are inside object streams (§7.5.7).
func (f *file) unpack() {
	for _, number := range f.order {
		o := f.objects[number]
		d, ok := o.value.(dict)
		if !ok || d["Type"] != name("ObjStm") {
			continue
		}
		first, ok := d["First"].(float64)
		data := f.decode(o)
		if !ok || first < 0 || int(first) > len(data) {
			continue
		}
		head := &lexer{b: data[:int(first)]}
		for len(f.objects) < maxObjects {
			n, ok := head.next(0).(float64)
			offset, also := head.next(0).(float64)
			if !ok || !also || n < 0 || n > 1<<30 || offset < 0 || offset > float64(len(data)-int(first)) {
				break
			}
			at := int(first) + int(offset)
			l := &lexer{b: data[at:min(len(data), at+maxObject)]}
			v := l.next(0)
			if f.work, f.values = f.work+l.at, f.values+l.items; f.work > 8*maxFile || f.values > maxValues {
				return
			}
			if _, have := f.objects[int(n)]; !have && !l.bad {
				f.objects[int(n)] = object{value: v}
				f.order = append(f.order, int(n))
			}
		}
	}
}

// decode undoes a stream's filters, within the budget; what it cannot undo is nothing.
func (f *file) decode(o object) []byte {
	d, _ := o.value.(dict)
	var filters []any
	switch v := f.resolve(d["Filter"]).(type) {
	case name:
		filters = []any{v}
	case []any:
		filters = v
	}
	if parms, ok := f.resolve(d["DecodeParms"]).(dict); ok {
		if p, ok := f.resolve(parms["Predictor"]).(float64); ok && p > 1 {
			return nil
		}
	}
	data := o.data
	for i, v := range filters {
		if i > 2 || f.output >= maxOutput {
			return nil
		}
		switch f.resolve(v) {
		case name("FlateDecode"), name("Fl"):
			data = f.inflate(data)
		case name("ASCIIHexDecode"), name("AHx"):
			l := &lexer{b: append([]byte("<"), data[:min(len(data), 2*maxString)]...)}
			data = l.hex()
			f.output += len(data)
		case name("ASCII85Decode"), name("A85"):
			if len(data) > maxStream {
				return nil
			}
			if end := bytes.Index(data, []byte("~>")); end >= 0 {
				data = data[:end]
			}
			out, err := io.ReadAll(io.LimitReader(ascii85.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("<~")))), maxStream))
			if err != nil {
				return nil
			}
			f.output += len(out)
			data = out
		default:
			return nil // pictures
		}
	}
	return data
}

// inflate returns what a deflated stream gives, up to its limits or its first error.
func (f *file) inflate(data []byte) []byte {
	limit := min(maxStream, maxOutput-f.output)
	if limit <= 0 {
		return nil
	}
	z, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	out, _ := io.ReadAll(io.LimitReader(z, int64(limit))) // of a damaged stream the beginning is text all the same
	f.output += len(out)
	return out
}

// resolve follows a reference, and references to references up to a bound.
func (f *file) resolve(v any) any {
	for range 8 {
		r, ok := v.(ref)
		if !ok {
			return v
		}
		v = f.objects[int(r)].value
	}
	return nil
}

// dict returns a dictionary, or an empty one.
func (f *file) dict(v any) dict {
	d, _ := f.resolve(v).(dict)
	return d
}

// stream returns the decoded bytes of the stream that v refers to.
func (f *file) stream(v any) []byte {
	r, ok := v.(ref)
	if !ok {
		return nil
	}
	return f.decode(f.objects[int(r)])
}

// page is a page's content and resources.
type page struct {
	contents  []ref
	resources dict
}

// maxPages is how many pages are read.
const maxPages = 40

// pages returns the pages in their order, or in the order of the file where there is no tree of them.
func (f *file) pages() []page {
	var out []page
	seen := map[ref]bool{}
	var walk func(r ref, resources dict, depth int)
	walk = func(r ref, resources dict, depth int) {
		d := f.dict(r)
		if seen[r] || depth > maxNesting || len(out) >= maxPages || d == nil {
			return
		}
		seen[r] = true
		if own := f.dict(d["Resources"]); own != nil {
			resources = own
		}
		kids, tree := f.resolve(d["Kids"]).([]any)
		if !tree {
			out = append(out, page{f.contents(d["Contents"]), resources})
			return
		}
		for _, k := range kids {
			if r, ok := k.(ref); ok {
				walk(r, resources, depth+1)
			}
		}
	}
	for _, n := range f.order {
		if d, ok := f.objects[n].value.(dict); ok && d["Type"] == name("Catalog") {
			if r, ok := d["Pages"].(ref); ok {
				walk(r, nil, 0)
			}
		}
	}
	for _, n := range f.order {
		if d, ok := f.objects[n].value.(dict); ok && d["Type"] == name("Page") {
			walk(ref(n), nil, 0)
		}
	}
	return out
}

func (f *file) contents(v any) []ref {
	if r, ok := v.(ref); ok {
		if list, ok := f.resolve(v).([]any); ok {
			v = list
		} else {
			return []ref{r}
		}
	}
	var out []ref
	list, _ := v.([]any)
	for _, item := range list {
		if r, ok := item.(ref); ok && len(out) < 1000 {
			out = append(out, r)
		}
	}
	return out
}
