package device

import (
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for _, c := range []struct{ to, via, address, aet, token, want string }{
		{"dicom://PACS@10.0.0.7:11112", "", "10.0.0.7:11112", "PACS", "", ViaDICOM},
		{"dicom://10.0.0.7", "dicom", "10.0.0.7:104", "TRIBUTARY", "", ViaDICOM},
		{"dicom://[fe80::1]", "", "[fe80::1]:104", "TRIBUTARY", "", ViaDICOM},
		{"http://h:8080", "", "http://h:8080", "", "", ViaSTOW},
		{"http://h:8080/", "upload", "http://h:8080", "", "", ViaUpload},
		{"https://h/dicom-web", "", "https://h", "", "", ViaSTOW},
		{"https://h/pacs/dicom-web/studies/", "", "https://h/pacs", "", "", ViaSTOW},
		{"http://h/upload", "", "http://h", "", "", ViaUpload},
		{"http://h/node/upload/tus/", "", "http://h/node", "", "", ViaTus},
		{"http://h/upload/tus", "stow", "http://h", "", "", ViaSTOW},
		{"http://any:secret@h", "tus", "http://h", "", "secret", ViaTus},
	} {
		got, err := ParseTarget(c.to, c.via)
		if err != nil || got.Via != c.want || got.Address != c.address || got.CalledAE != c.aet || got.Token != c.token {
			t.Errorf("ParseTarget(%q, %q) = %+v, %v", c.to, c.via, got, err)
		}
	}
	for _, c := range [][2]string{
		{"", ""},
		{"10.0.0.7:104", ""},
		{"dicom://", ""},
		{"ftp://any:secret@h", ""},
		{"http://any:secret@h", "dicom"},
		{"http://h", "carrier pigeon"},
		{"dicom://PACS:secret@h", "stow"},
		{"http://any:secret@h:port", ""},
	} {
		got, err := ParseTarget(c[0], c[1])
		if err == nil {
			t.Errorf("ParseTarget(%q, %q) = %+v, want an error", c[0], c[1], got)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("ParseTarget(%q, %q) tells the password: %v", c[0], c[1], err)
		}
	}
}
