// Package testbrowser opens pages in headless Chromium for tests: one browser a process, one tab with cookies of its own
// a test. A tab fails its test for anything that the page complains of: errors in the console, what its security policy
// stops, exceptions that nothing caught.
//
// A test without Chromium is skipped, and fails with CI=true; scripts/test-deps.sh installs it. A package that uses it
// calls Close in TestMain.
package testbrowser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience bounds every wait. Generous: test machines are shared.
const patience = 60 * time.Second

// Viewport is the size of a tab in CSS pixels.
type Viewport struct {
	Width, Height int64
	Phone         bool // fingers in place of a mouse
}

// The sizes that pages are made for.
var (
	Desktop = Viewport{Width: 1366, Height: 768}
	Phone   = Viewport{Width: 360, Height: 740, Phone: true}
)

func (v Viewport) String() string { return fmt.Sprintf("%dx%d", v.Width, v.Height) }

// browser is the process's Chromium.
var browser struct {
	sync.Mutex
	ctx     context.Context // of the browser's first, empty tab
	profile string
	err     error
	stop    []func()
}

// programs that are Chromium, by what systems call it. CHROMIUM names another.
var programs = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

func find() (string, error) {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path, nil
	}
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no Chromium; scripts/test-deps.sh installs it, and CHROMIUM names one that lies elsewhere")
}

// launch starts the browser when it does not run yet.
func launch() (context.Context, error) {
	browser.Lock()
	defer browser.Unlock()
	if browser.ctx != nil || browser.err != nil {
		return browser.ctx, browser.err
	}
	path, err := find()
	if err != nil {
		browser.err = err
		return nil, err
	}
	if browser.profile, browser.err = os.MkdirTemp("", "tributary-browser-"); browser.err != nil {
		return nil, browser.err
	}
	ctx, stopAllocator := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(browser.profile),
		chromedp.NoSandbox, // tests run as root in containers, where Chromium has no sandbox
		chromedp.DisableGPU, chromedp.Flag("lang", "zh-CN"),
		chromedp.Flag("font-render-hinting", "none"),
	)...)
	ctx, stopBrowser := chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {}))
	browser.stop = []func(){stopBrowser, stopAllocator}
	if err := chromedp.Do(ctx); err != nil {
		browser.err = fmt.Errorf("start %s: %w", path, err)
		return nil, browser.err
	}
	browser.ctx = ctx
	return ctx, nil
}

// Close ends the browser and removes what it wrote. It does nothing when no test opened a tab.
func Close() {
	browser.Lock()
	defer browser.Unlock()
	if browser.ctx != nil {
		ctx, cancel := context.WithTimeout(browser.ctx, 10*time.Second)
		_ = chromedp.Cancel(ctx) // it may be gone already
		cancel()
	}
	for _, stop := range browser.stop {
		stop()
	}
	if browser.profile != "" {
		// Its processes may write for a moment longer.
		for range 50 {
			if os.RemoveAll(browser.profile) == nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	browser.ctx, browser.stop, browser.profile, browser.err = nil, nil, "", errors.New("the browser is closed")
}

// Tab is a page in the browser.
type Tab struct {
	t    testing.TB
	ctx  context.Context
	view Viewport

	mu      sync.Mutex
	faults  []string
	allowed []string
}

// Open opens an empty tab without cookies, and closes it when the test ends. The test fails for what pages in it
// complain of.
func Open(t testing.TB, v Viewport) *Tab {
	t.Helper()
	parent, err := launch()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	tab := &Tab{t: t, view: v}
	limited, cancel := context.WithTimeout(parent, 5*time.Minute)
	ctx, closeTab := chromedp.NewContext(limited, chromedp.WithNewBrowserContext(), chromedp.WithListener(tab.heard))
	tab.ctx = ctx
	t.Cleanup(func() {
		tab.check()
		closeTab()
		cancel()
	})
	size := chromedp.EmulateViewport(v.Width, v.Height)
	if v.Phone {
		size = chromedp.EmulateViewport(v.Width, v.Height, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait)
	}
	tab.Do(size)
	return tab
}

// heard notes what the page complains of.
func (b *Tab) heard(ev any) {
	var fault string
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		d := ev.ExceptionDetails
		fault = "exception: " + d.Text
		if d.Exception != nil {
			fault += " " + d.Exception.Description
		}
		fault += fmt.Sprintf(" (%s:%d)", d.URL, d.LineNumber+1)
	case *runtime.EventConsoleAPICalled:
		if ev.Type != runtime.ConsoleAPICalledTypeError && ev.Type != runtime.ConsoleAPICalledTypeAssert {
			return
		}
		words := []string{"console." + string(ev.Type) + ":"}
		for _, a := range ev.Args {
			if a.Description != "" {
				words = append(words, a.Description)
			} else {
				words = append(words, string(a.Value))
			}
		}
		fault = strings.Join(words, " ")
	case *log.EventEntryAdded:
		e := ev.Entry
		if e.Level != log.EntryLevelError && e.Source != log.EntrySourceSecurity {
			return
		}
		fault = fmt.Sprintf("%s %s: %s (%s)", e.Source, e.Level, e.Text, e.URL)
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) < 100 {
		b.faults = append(b.faults, fault)
	}
}

// Allow names parts of complaints that belong to what the test does, as "404" when it opens a page that is not there.
func (b *Tab) Allow(parts ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.allowed = append(b.allowed, parts...)
}

// check fails the test for what was heard.
func (b *Tab) check() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		if !slices.ContainsFunc(b.allowed, func(part string) bool { return strings.Contains(f, part) }) {
			b.t.Errorf("the page complains: %s", f)
		}
	}
	b.faults = nil
}

// Do runs steps, each within patience, and ends the test when one fails.
func (b *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for _, step := range steps {
		Get(b, step)
	}
}

// Get runs a step of the tab and returns its value; it ends the test when that fails.
func Get[T any](b *Tab, step chromedp.Action[T]) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, bounded(step))
	if err != nil {
		b.t.Fatal(err)
	}
	return value
}

// bounded ends a step that takes longer than patience.
func bounded[T any](step chromedp.Action[T]) chromedp.Action[T] {
	return func(ctx context.Context, target *chromedp.Target) (T, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return step(ctx, target)
	}
}

// Go opens an address and waits until all of it is loaded.
func (b *Tab) Go(url string) {
	b.t.Helper()
	b.Do(chromedp.Navigate(url))
	b.Wait(`document.readyState === "complete"`)
}

// Eval returns the value of an expression in the page. It is evaluated by the debugger: the page's policy does not matter.
// A promise is awaited.
func Eval[T any](b *Tab, expression string) T {
	b.t.Helper()
	return Get(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// Wait waits until an expression is true, over changes of the page.
func (b *Tab) Wait(expression string) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		ok, err := chromedp.Run(b.ctx, bounded(chromedp.Evaluate[bool]("Boolean("+expression+")", chromedp.EvalAwaitPromise)))
		if err == nil && ok {
			return
		}
		if b.ctx.Err() != nil || time.Now().After(deadline) {
			text, _ := chromedp.Run(b.ctx, bounded(chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText.slice(0, 2000)`))) // it only explains
			b.t.Fatalf("%s is not true (%v); the page is:\n%s", expression, err, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Click clicks what a CSS selector finds first.
func (b *Tab) Click(selector string) {
	b.t.Helper()
	b.Do(chromedp.Click(chromedp.CSS(selector)))
}

// Type types text into what a CSS selector finds first.
func (b *Tab) Type(selector, text string) {
	b.t.Helper()
	b.Do(chromedp.SendKeys(chromedp.CSS(selector), text))
}

// Key presses keys, one after another, wherever the focus is: "/", kb.Tab, kb.Enter. As of a keyboard, a key types its
// character unless the page keeps that from happening.
func (b *Tab) Key(keys ...string) {
	b.t.Helper()
	for _, r := range strings.Join(keys, "") {
		events := kb.Encode(r)
		typed := ""
		for _, e := range events {
			if e.Type == kb.KeyChar {
				typed = e.Text
			}
		}
		for _, e := range events {
			switch e.Type {
			case kb.KeyChar: // comes with the key
				continue
			case kb.KeyUp:
			default:
				e.Type, e.Text = kb.KeyRawDown, typed
				if typed != "" {
					e.Type = kb.KeyDown
				}
			}
			Call(b, input.DispatchKeyEvent, *e)
		}
	}
}

// Text returns the text that people see of what a CSS selector finds first.
func (b *Tab) Text(selector string) string {
	b.t.Helper()
	return Get(b, chromedp.Text(chromedp.CSS(selector)))
}

// Call runs a command of the DevTools protocol in a tab.
func Call[P, R any](b *Tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	answer, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer
}

// NoScripts makes the tab run no scripts of pages; those of tests run.
func NoScripts(b *Tab) {
	b.t.Helper()
	Call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// Context is the tab's, for what this package has no word for.
func (b *Tab) Context() context.Context { return b.ctx }

// Screenshot writes all of the page as a PNG file into the folder that TRIBUTARY_SCREENSHOTS names, when it does. The
// size of the tab is put behind name. What does not fit the width of the tab fails the test.
func (b *Tab) Screenshot(name string) {
	b.t.Helper()
	if over := Eval[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
		b.t.Errorf("%s: the page is %d pixels wider than the tab (%v): %s", name, over, b.view, Eval[string](b, `[...document.querySelectorAll("body *")]
			.filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
			.slice(0, 5).map((e) => e.outerHTML.slice(0, 160)).join("\n")`))
	}
	dir := os.Getenv("TRIBUTARY_SCREENSHOTS")
	if dir == "" {
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	picture := Get(b, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(dir, name+"-"+b.view.String()+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
