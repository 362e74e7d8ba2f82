package event_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

func sampleStudy() *event.Study {
	var content event.Content
	content.Add("2.25.1003", strings.Repeat("cd", 32), "1.2.840.10008.1.2.1")
	return &event.Study{
		Tenant: "county-1", StudyInstanceUID: "2.25.1001", Revision: 2, Reason: event.ReasonQuiet, At: sampleTime,
		Series: 2, Instances: 12, Bytes: 102400, Modalities: []string{"CT", "SR"}, FirstReceived: sampleTime.Add(-time.Hour),
		LastReceived: sampleTime.Add(-time.Minute), Priority: event.PriorityStat, Digest: content.String(),
	}
}

// A consumer that follows docs/events.md, with arithmetic of its own, comes to the same digest, in any order.
func TestContent(t *testing.T) {
	var c event.Content
	if got := c.String(); got != "sum-sha256:"+strings.Repeat("0", 64) {
		t.Errorf("an empty study is %s", got)
	}
	members := [][3]string{}
	for i := range 300 {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		members = append(members, [3]string{"2.25." + strings.Repeat("7", i%30+1), hex.EncodeToString(sum[:]), "1.2.840.10008.1.2.1"})
	}
	want := new(big.Int)
	for _, m := range members {
		sum := sha256.Sum256([]byte(m[0] + "\n" + m[1] + "\n" + m[2]))
		want.Add(want, new(big.Int).SetBytes(sum[:]))
	}
	want.Mod(want, new(big.Int).Lsh(big.NewInt(1), 256))
	rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	for _, m := range members {
		c.Add(m[0], m[1], m[2])
	}
	text := c.String()
	if got, _ := new(big.Int).SetString(strings.TrimPrefix(text, "sum-sha256:"), 16); got.Cmp(want) != 0 {
		t.Errorf("digest %s, want %x", text, want)
	}
	if again, err := event.ParseContent(text); err != nil || again != c {
		t.Errorf("read again: %v, %v", again, err)
	}
	for _, bad := range []string{"", "sum-sha256:", text[1:], text + "0", "sum-sha256:" + strings.Repeat("g", 64)} {
		if _, err := event.ParseContent(bad); err == nil {
			t.Errorf("%q is a digest", bad)
		}
	}
}

// A record that is made again is the same one; another revision, content, study or type is another.
func TestStudyIDs(t *testing.T) {
	seen := map[string]string{}
	id := func(what, typ string, change func(*event.Study)) string {
		t.Helper()
		s := sampleStudy()
		change(s)
		e, err := event.NewStudy(typ, "/node", time.Now(), s)
		if err != nil {
			t.Fatal(err)
		}
		if other, taken := seen[e.ID]; taken {
			t.Errorf("%s has the id of %s", what, other)
		}
		seen[e.ID] = what
		if len(e.ID) != 26 || e.Topic != event.TopicStudies {
			t.Errorf("%s: id %q on topic %q", what, e.ID, e.Topic)
		}
		return e.ID
	}
	first := id("complete", event.TypeStudyComplete, func(*event.Study) {})
	id("updated", event.TypeStudyUpdated, func(*event.Study) {})
	id("revision 3", event.TypeStudyComplete, func(s *event.Study) { s.Revision = 3 })
	id("tenant", event.TypeStudyComplete, func(s *event.Study) { s.Tenant = "other" })
	id("study", event.TypeStudyComplete, func(s *event.Study) { s.StudyInstanceUID = "2.25.9" })
	id("content", event.TypeStudyComplete, func(s *event.Study) { s.Digest = event.Content{}.String() })
	id("no time", event.TypeStudyComplete, func(s *event.Study) { s.LastReceived = time.Time{} })
	clear(seen)
	if again := id("complete, on another node", event.TypeStudyComplete, func(s *event.Study) { s.At = time.Now() }); again != first {
		t.Errorf("made again it is %s, not %s", again, first)
	}
}

func TestStudyRefusals(t *testing.T) {
	for name, text := range map[string]string{
		"no study":        `{"revision":1,"digest":"d"}`,
		"no digest":       `{"study_instance_uid":"1","revision":1}`,
		"revision 0":      `{"study_instance_uid":"1","digest":"d"}`,
		"huge revision":   `{"study_instance_uid":"1","digest":"d","revision":9223372036854775807}`,
		"negative counts": `{"study_instance_uid":"1","digest":"d","revision":1,"instances":-1}`,
		"a list":          `[]`,
	} {
		if _, err := event.Decode[event.Study]([]byte(text)); err == nil {
			t.Errorf("%s was decoded", name)
		}
	}
	if _, err := event.Decode[event.StudySent]([]byte(`{"study_instance_uid":"1"}`)); err == nil {
		t.Error("a signal of nobody was decoded")
	}
	for s, want := range map[string]bool{"stow": true, "pacs-2": true, "": false, "A": false, "a b": false, strings.Repeat("a", 33): false} {
		if got := event.ValidSignal(s); got != want {
			t.Errorf("signal %q: %v", s, got)
		}
	}
}
