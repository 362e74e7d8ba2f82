package testbrowser

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/chromedp/chromedp"
)

// axeFile is axe-core below the module's folder; scripts/test-deps.sh puts it there.
const axeFile = "e2e/pages/node_modules/axe-core/axe.min.js"

// violation is what axe-core finds against a rule.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string
		FailureSummary string
	}
}

// Axe fails the test for what of the page breaks WCAG 2.2, levels A and AA, as far as a program can tell. skip names
// rules of axe-core that the caller has a reason to leave out.
func (b *Tab) Axe(skip ...string) {
	b.t.Helper()
	for _, v := range b.violations(skip...) {
		for _, n := range v.Nodes {
			b.t.Errorf("accessibility: %s (%s, %s)\n  %s\n  %s", v.Help, v.ID, v.Impact, n.HTML, strings.ReplaceAll(n.FailureSummary, "\n", "\n  "))
		}
	}
}

func (b *Tab) violations(skip ...string) []violation {
	b.t.Helper()
	script, err := axe()
	if err != nil {
		if os.Getenv("CI") != "" {
			b.t.Fatal(err)
		}
		b.t.Skip(err)
	}
	var off strings.Builder
	for _, rule := range skip {
		fmt.Fprintf(&off, "%q: {enabled: false},", rule)
	}
	// By the debugger, because the page's policy lets no other script in.
	if _, err := chromedp.Run(b.ctx, bounded(chromedp.Evaluate[chromedp.Void](script+"\n;undefined"))); err != nil {
		b.t.Fatalf("load axe-core: %v", err)
	}
	return Eval[[]violation](b, fmt.Sprintf(`axe.run(document, {
		runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], resultTypes: ["violations"], rules: {%s},
	}).then((r) => r.violations.map(({id, impact, help, nodes}) => ({id, impact, help, nodes: nodes.map(({html, failureSummary}) => ({html, failureSummary}))})))`, off.String()))
}

// axe reads axe-core from the module that the test is in.
func axe() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			script, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(axeFile)))
			if err != nil {
				return "", errors.New("axe-core is missing; scripts/test-deps.sh installs it")
			}
			return string(script), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
}
