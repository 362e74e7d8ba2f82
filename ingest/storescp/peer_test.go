package storescp

import "testing"

func TestPeers(t *testing.T) {
	parse := func(texts ...string) (peers []Peer) {
		for _, s := range texts {
			p, err := ParsePeer(s)
			if err != nil {
				t.Fatal(err)
			}
			peers = append(peers, p)
		}
		return peers
	}
	kits := parse("KIT01", "KIT02@192.0.2.7", "*@10.1.2.3/16", "KIT03@2001:db8::/32", "KIT04@::ffff:192.0.2.9", "KIT05@fe80::1", "KIT06@::ffff:198.51.100.0/120")
	for _, c := range []struct {
		peers []Peer
		aet   string
		ip    string
		want  bool
	}{
		{nil, "ANY", "203.0.113.1", true},
		{kits, "KIT01", "203.0.113.1", true},
		{kits, "KIT01", "not an address", true},
		{kits, "kit01", "203.0.113.1", false}, // PS3.5 §6.2: case counts
		{kits, "KIT02", "192.0.2.7", true},
		{kits, "KIT02", "::ffff:192.0.2.7", true},
		{kits, "KIT02", "192.0.2.8", false},
		{kits, "KIT02", "not an address", false},
		{kits, "ANY", "10.1.255.255", true},
		{kits, "ANY", "10.2.0.0", false},
		{kits, "KIT03", "2001:db8::7", true},
		{kits, "KIT03", "2001:db9::7", false},
		{kits, "KIT04", "192.0.2.9", true},
		{kits, "KIT05", "fe80::1", true},
		{kits, "KIT06", "198.51.100.200", true},
		{kits, "KIT06", "198.51.101.1", false},
		{kits, "", "203.0.113.1", false},
	} {
		if got := allowed(c.peers, c.aet, c.ip); got != c.want {
			t.Errorf("%q from %s: %v, want %v", c.aet, c.ip, got, c.want)
		}
	}
	for _, bad := range []string{"", "@10.0.0.1", "SEVENTEEN-LETTERS", "KIT@", "KIT@host", "KIT@10.0.0.0/33", "KIT@10.0.0.1:104", "KIT@fe80::1%eth0"} {
		if p, err := ParsePeer(bad); err == nil {
			t.Errorf("ParsePeer(%q) = %+v, want an error", bad, p)
		}
	}
}
