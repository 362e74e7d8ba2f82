package main

import (
	"strings"
	"testing"
)

func row(t *testing.T, table, line string) []string {
	t.Helper()
	for l := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(l, "|\n "), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) > 1 && cells[1] == line {
			return cells
		}
	}
	t.Fatalf("no line %q in\n%s", line, table)
	return nil
}

func TestTable(t *testing.T) {
	var out strings.Builder
	at := func(system string, u unit, value, over float64) result {
		return result{Workload: "W", Line: "in", System: system, Unit: u, Value: value, Peak: over + 20, Idle: 20, OverIdle: over, CPUPerGiB: value / 10}
	}
	results := []result{
		at("tributary", mega, 100, 5), at("null", mega, 200, 1), at("orthanc", mega, 50, 0),
		at("tributary", mega, 300, 7), at("null", mega, 200, 1), at("orthanc", mega, 50, 0),
		at("tributary", mega, 200, 6), at("null", mega, 200, 1), at("orthanc", mega, 50, 0),
		{Workload: "W", Line: "find", System: "tributary", Unit: millis, Value: 0.5, P50: 0.5, P99: 2},
		{Workload: "W", Line: "find", System: "orthanc", Unit: millis, Value: 20},
		{Workload: "W", Line: "big", System: "tributary", Unit: mega, Value: 10},
		{Workload: "W", Line: "big", System: "orthanc", Unit: mega, Err: "answered 500"},
	}
	writeTable(&out, results)
	in := row(t, out.String(), "in")
	want := []string{"W", "in", "MB/s", "200", "200", "–", "50.0", "1.00", "4.00", "0.00 / 0.00", "0.00", "20.0 / 20.0 / 5.00", "27.0", "7.00 / 1.00 / – / 0.00"}
	if strings.Join(in, "|") != strings.Join(want, "|") {
		t.Errorf("got  %q\nwant %q", in, want)
	}
	if find := row(t, out.String(), "find"); find[8] != "40.0" || find[9] != "0.50 / 2.00" || find[11] != "–" {
		t.Errorf("find: %q", find)
	}
	if big := row(t, out.String(), "big"); big[6] != "failed" || big[8] != "–" {
		t.Errorf("big: %q", big)
	}
}

func TestVerdict(t *testing.T) {
	over := func(line string, mib float64) []result {
		return []result{{Workload: "W3", Line: line, System: "tributary", Unit: mega, Value: 1, OverIdle: mib}}
	}
	for _, c := range []struct {
		name    string
		results []result
		check   bool
		ok      bool
	}{
		{"within", over("C-STORE, 1 client", 64), true, true},
		{"over", over("C-STORE, 1 client", 65), true, false},
		{"over, unasked", over("C-STORE, 1 client", 65), false, true},
		{"four within", over("C-STORE, 4 clients", 96), true, true},
		{"four over", over("C-STORE, 4 clients", 97), true, false},
		{"a peer fails", []result{{Workload: "W1", Line: "x", System: "orthanc", Err: "no"}}, true, true},
		{"the node fails", []result{{Workload: "W1", Line: "x", System: "tributary", Err: "no"}}, false, false},
	} {
		if err := verdict(c.results, c.check); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
