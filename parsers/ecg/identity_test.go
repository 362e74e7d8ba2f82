package ecg

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/sniff"
	"github.com/tributary-dicom/tributary/parsers/uid"
)

func TestIdentity(t *testing.T) {
	sum := sha256.Sum256([]byte("a file"))
	hash := hex.EncodeToString(sum[:])
	ids := Identity("clinic", hash, nil)
	seen := map[string]bool{}
	for _, id := range []string{ids.Study, ids.Series, ids.Source, ids.Derived} {
		if uid.Valid(id) != nil || seen[id] {
			t.Errorf("%+v", ids)
		}
		seen[id] = true
	}
	if ids.Source != uid.FromHash("clinic", sum[:]) {
		t.Error("the original is known by tenant and hash alone")
	}
	if ids != Identity("clinic", strings.ToUpper(hash), &Recording{}) {
		t.Error("the same file has other names")
	}
	for _, id := range []IDs{Identity("county", hash, nil), Identity("clinic", hash[:62]+"00", nil), Identity("clinic", "no hash", nil), Identity("clinic", "", nil)} {
		for _, s := range []string{id.Study, id.Series, id.Source, id.Derived} {
			if uid.Valid(s) != nil || seen[s] {
				t.Errorf("another file or tenant shares %s", s)
			}
		}
	}
}

// TestIdentityOfItsOwn: a file that names its study stays in it.
func TestIdentityOfItsOwn(t *testing.T) {
	const study, instance = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"
	rec := &Recording{Format: sniff.AECG, DocumentID: instance, Context: Context{StudyInstanceUID: study}}
	bare := Identity("", "00", nil)
	if ids := Identity("", "00", rec); ids.Study != study || ids.Source != bare.Source || ids.Series != bare.Series || ids.Derived != bare.Derived {
		t.Errorf("%+v", ids)
	}
	rec.Format = sniff.DICOM
	if ids := Identity("", "00", rec); ids.Source != instance || ids.Derived != bare.Derived {
		t.Errorf("%+v", ids)
	}
	rec.Context.StudyInstanceUID, rec.DocumentID = "1.02.3", "1.2."
	if ids := Identity("", "00", rec); ids != bare {
		t.Errorf("UIDs against PS3.5 §9.1 were taken: %+v", ids)
	}
}
