package storescp

import (
	"fmt"
	"net/netip"
	"strings"
)

// Peer is a caller that may associate: an AE title, from anywhere or from some addresses only.
type Peer struct {
	AETitle string       // "*" for any
	From    netip.Prefix // zero for anywhere
}

// ParsePeer reads "AET", "AET@192.0.2.7" or "*@192.0.2.0/24".
func ParsePeer(s string) (Peer, error) {
	title, from, limited := strings.Cut(s, "@")
	if title == "" || len(title) > 16 {
		return Peer{}, fmt.Errorf("peer %q: an AE title has 1 to 16 characters; write AET, AET@ADDRESS or *@NETWORK/BITS", s)
	}
	p := Peer{AETitle: title}
	if !limited {
		return p, nil
	}
	if prefix, err := netip.ParsePrefix(from); err == nil {
		if a := prefix.Addr(); a.Is4In6() && prefix.Bits() >= 96 { // callers are compared unmapped
			prefix = netip.PrefixFrom(a.Unmap(), prefix.Bits()-96)
		}
		p.From = prefix.Masked()
		return p, nil
	}
	addr, err := netip.ParseAddr(from)
	if addr = addr.Unmap(); err != nil || addr.Zone() != "" {
		return Peer{}, fmt.Errorf("peer %q: %q is no address and no network; write AET@192.0.2.7 or AET@192.0.2.0/24", s, from)
	}
	p.From = netip.PrefixFrom(addr, addr.BitLen())
	return p, nil
}

// allowed reports whether the list lets the caller in; an empty list lets everyone in.
func allowed(peers []Peer, callingAE, ip string) bool {
	if len(peers) == 0 {
		return true
	}
	addr, err := netip.ParseAddr(ip)
	for _, p := range peers {
		if p.AETitle != "*" && p.AETitle != callingAE {
			continue
		}
		if !p.From.IsValid() || (err == nil && p.From.Contains(addr.Unmap())) {
			return true
		}
	}
	return false
}
