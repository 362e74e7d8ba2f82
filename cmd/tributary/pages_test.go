package main

import "testing"

func TestPrefersHTML(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "text/plain": false, "text/*": false, "application/json": false,
		"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8": true,
		"text/html": true, "Text/HTML; Q=0.3, */*;q=0.1": true, "text/html;level=1;q=0.5": true,
		"text/plain, text/html;q=0.5": false, "text/html;q=0": false, "text/html;q=x": false,
	} {
		if got := prefersHTML([]string{accept}); got != want {
			t.Errorf("Accept: %s is %v", accept, got)
		}
	}
}
