package e2e

import (
	"fmt"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/fixtures/hostile"
	"github.com/tributary-dicom/tributary/internal/testnode"
	"github.com/tributary-dicom/tributary/pipeline/reprocess"
)

// TestHostileReprocessed reads every hostile file that was kept once more (F20): the outcome is the one that its door
// found, whichever door that was, and the index says what it said.
func TestHostileReprocessed(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds; not with -short")
	}
	dir := t.TempDir()
	n := testnode.Start(t, dir)
	all := append(hostile.DICOM(), hostileRecordings(t, "127.0.0.1:1")...)
	kept := map[string]int64{}
	for d, via := range []string{device.ViaUpload, device.ViaDICOM} {
		s := sender(n, via)
		for i, c := range all {
			if via == device.ViaDICOM && c.Number > 50 { // files in other formats have no way by C-STORE
				continue
			}
			o := hostileObject(t, c, via, fmt.Sprintf("%s%d%03d", hostileInstance[:len(hostileInstance)-4], d+1, i))
			sh, err := ship(t.Context(), s, via, o)
			if err != nil {
				t.Fatalf("%02d %s by %s: %v", c.Number, c.Name, via, err)
			}
			if sh.err == nil {
				kept[sh.letter()]++
			}
		}
		if err := s.Close(); err != nil {
			t.Logf("%s: %v", via, err) // some end an Association
		}
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	reprocessed(t, "--data", dir, "--dry-run") // brings the index up to the log
	want := dump(t, dir)
	r := reprocessed(t, "--data", dir, "--force", "--parser-version", "2")
	same, waiting := r.Outcomes[reprocess.OutcomeSame], r.Outcomes[reprocess.OutcomeWaiting]
	if r.State != reprocess.StateDone || same+waiting != r.Done || same == 0 || waiting == 0 {
		t.Errorf("%d sent (%v): %v\n%+v", len(all), kept, r.Outcomes, r.Examples)
	}
	t.Logf("sent by outcome %v; read again: %v", kept, r.Outcomes)
	said := func(dump string) string { return rowParsers.ReplaceAllString(recordIDs.ReplaceAllString(dump, ""), "") }
	if got := said(dump(t, dir)); got != said(want) {
		t.Errorf("the index says something else:\n%s", difference(said(want), got))
	}
	if code, report := fsck(t, dir, "--full"); code != 0 || len(report.Counts) > 0 {
		t.Errorf("fsck: exit %d, %+v", code, report)
	}
}
