package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"
	"testing"

	"github.com/tributary-dicom/tributary/device"
	"github.com/tributary-dicom/tributary/internal/testnode"
)

// TestRivals sends one SOP Instance UID through every door at once, with the same bytes and with others.
// Whatever the order: one row, as many versions as there are data sets, one of them current, and readers
// get exactly that one's bytes.
func TestRivals(t *testing.T) {
	n := testnode.Start(t, t.TempDir())
	rounds := 20
	if testing.Short() {
		rounds = 4
	}
	for round := range rounds {
		same := object{number: 9000 + round, pixels: 4 << 10}
		datasets := [][]byte{same.dataset()}
		files := [][]byte{same.file()}
		for other := range round % 3 { // 0, 1 or 2 rivals with bytes of their own
			f := bytes.Clone(files[0])
			f[len(f)-1-other] ^= 0xFF
			files = append(files, f)
			datasets = append(datasets, f[len(f)-len(datasets[0]):])
		}
		var senders sync.WaitGroup
		for i, via := range []string{device.ViaDICOM, device.ViaSTOW, device.ViaUpload, device.ViaTus, device.ViaDICOM, device.ViaUpload} {
			senders.Go(func() {
				o, err := device.Bytes("rival.dcm", files[i%len(files)])
				if err != nil {
					t.Error(err)
					return
				}
				target := device.Target{Via: via, Address: n.URL, CalledAE: n.AET, CallingAE: "RIVAL"}
				if via == device.ViaDICOM {
					target.Address = n.DICOM
				}
				s := target.Open([]device.Object{o})
				defer func() { _ = s.Close() }()
				if out, err := s.Send(t.Context(), o); err != nil || !out.Kept() || out.Status == device.Quarantined {
					t.Errorf("round %d, %s: %+v, %v", round, via, out, err)
				}
			})
		}
		senders.Wait()

		got, code := retrieve(t, n, same)
		current := -1
		for i, d := range datasets {
			if code == http.StatusOK && bytes.HasSuffix(got, d) {
				current = i
			}
		}
		if current < 0 {
			t.Fatalf("round %d: readers get none of the data sets that were sent (status %d)", round, code)
		}
		var rows []json.RawMessage
		_, body := n.Get(t, "/dicom-web/instances?SOPInstanceUID="+same.instance())
		if err := json.Unmarshal(body, &rows); err != nil || len(rows) != 1 {
			t.Errorf("round %d: %d rows (%v)", round, len(rows), err)
		}
		var conflicts []struct {
			Instance string
			Current  string
			Versions []struct{ ID string }
		}
		_, body = n.Get(t, "/conflicts?limit=1000")
		if err := json.Unmarshal(body, &conflicts); err != nil {
			t.Fatal(err)
		}
		versions := 1
		for _, c := range conflicts {
			if c.Instance == same.instance() {
				versions = len(c.Versions)
			}
		}
		if versions != len(datasets) {
			t.Errorf("round %d: %d versions of %d data sets", round, versions, len(datasets))
		}
	}
}
