package index_test

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/internal/testengine"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/index"
	"github.com/tributary-dicom/tributary/storage/index/indextest"
)

// cpu is the processor time of this process, user and system.
func cpu(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkApply reports wall and processor time an instance, by batch and by instances of a study.
func BenchmarkApply(b *testing.B) {
	for _, shape := range []struct{ studies, instances, batch int }{
		{100, 20, 1}, {100, 20, 16}, {100, 20, 256}, {2000, 1, 1}, {2000, 1, 16}, {2000, 1, 256},
	} {
		b.Run(fmt.Sprintf("instances=%d/batch=%d", shape.instances, shape.batch), func(b *testing.B) {
			records := indextest.County(b, shape.studies, shape.instances)
			var used time.Duration
			count := 0
			for b.Loop() {
				b.StopTimer()
				db := open(b, nil)
				begin := cpu(b)
				b.StartTimer()
				fill(b, db, records, shape.batch)
				b.StopTimer()
				used += cpu(b) - begin
				count += len(records)
				if err := db.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(used.Microseconds())/float64(count), "cpu-µs/instance")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(count), "µs/instance")
		})
	}
}

// BenchmarkApplyPostgres reports records a second of appliers side by side, each with a partition of its own.
func BenchmarkApplyPostgres(b *testing.B) {
	server := testengine.StartPostgres(b, "fsync=on", "shared_buffers=256MB", "max_wal_size=2GB")
	for _, appliers := range []int{1, 2, 4} {
		for _, shape := range []struct{ studies, instances int }{{400, 20}, {8000, 1}} {
			b.Run(fmt.Sprintf("appliers=%d/instances=%d", appliers, shape.instances), func(b *testing.B) {
				parts := make([][]eventlog.Record, appliers)
				for i, r := range indextest.County(b, shape.studies, shape.instances) {
					n := i / shape.instances % appliers
					r.Partition = int32(n)
					parts[n] = append(parts[n], r)
				}
				for b.Loop() {
					b.StopTimer()
					db := openPostgres(b, server.Schema(b), index.Options{Writers: appliers})
					b.StartTimer()
					var all sync.WaitGroup
					for _, records := range parts {
						all.Go(func() { fill(b, db, records, 256) })
					}
					all.Wait()
					b.StopTimer()
					if err := db.Close(); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				b.ReportMetric(float64(shape.studies*shape.instances*b.N)/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}

func fill(b testing.TB, db *index.DB, records []eventlog.Record, batch int) {
	b.Helper()
	for len(records) > 0 {
		n := min(batch, len(records))
		if err := db.Apply(b.Context(), records[:n]); err != nil {
			b.Fatal(err)
		}
		records = records[n:]
	}
}

// BenchmarkSearch searches 2,000 studies, or as many as INDEX_STUDIES says.
func BenchmarkSearch(b *testing.B) {
	studies := 2000
	if s := os.Getenv("INDEX_STUDIES"); s != "" {
		studies, _ = strconv.Atoi(s)
	}
	db := open(b, nil)
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	fill(b, db, indextest.County(b, studies, 1), 512)
	one := func(keyword, value string) index.Match { return index.Match{Keyword: keyword, Values: []string{value}} }
	for _, c := range []struct {
		name    string
		level   index.Level
		fuzzy   bool
		limit   int
		matches []index.Match
	}{
		{"patient", index.StudyLevel, false, 101, []index.Match{one("PatientID", "P0000042")}},
		{"accession", index.StudyLevel, false, 101, []index.Match{one("AccessionNumber", "A00000042")}},
		{"name contains, 50", index.StudyLevel, false, 50, []index.Match{one("PatientName", "*Zhang*")}},
		{"name contains, 101", index.StudyLevel, false, 101, []index.Match{one("PatientName", "*Zhang*")}},
		{"name contains, none", index.StudyLevel, false, 101, []index.Match{one("PatientName", "*nobody*")}},
		{"name begins", index.StudyLevel, false, 101, []index.Match{one("PatientName", "zhang^w*")}},
		{"name exact", index.StudyLevel, false, 101, []index.Match{one("PatientName", "张^伟")}},
		{"name fuzzy", index.StudyLevel, true, 50, []index.Match{one("PatientName", "wei zh")}},
		{"patient contains", index.StudyLevel, false, 101, []index.Match{one("PatientID", "*0042*")}},
		{"description", index.StudyLevel, false, 101, []index.Match{one("StudyDescription", "*腹部*")}},
		{"date and modality", index.StudyLevel, false, 101, []index.Match{one("StudyDate", "20200101-20200331"), one("ModalitiesInStudy", "US")}},
		{"newest", index.StudyLevel, false, 50, nil},
		{"newest, 101", index.StudyLevel, false, 101, nil},
		{"study", index.StudyLevel, false, 101, []index.Match{one("StudyInstanceUID", "1.2.826.0.1.3680043.8.498.10000042.1")}},
		{"series of a study", index.SeriesLevel, false, 101, []index.Match{one("StudyInstanceUID", "1.2.826.0.1.3680043.8.498.10000042.1")}},
	} {
		b.Run(c.name, func(b *testing.B) {
			rows := 0
			for b.Loop() {
				found, err := db.Search(b.Context(), index.Query{
					Tenant: "clinic", Level: c.level, Fuzzy: c.fuzzy, Matches: c.matches, Limit: c.limit,
				})
				if err != nil {
					b.Fatal(err)
				}
				rows = len(found)
			}
			b.ReportMetric(float64(rows), "rows")
		})
	}
}
