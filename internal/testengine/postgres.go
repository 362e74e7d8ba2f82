package testengine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres is a PostgreSQL server of a test: Debian's or the path's binaries, on a port of loopback, everybody
// trusted. Root runs it as an unprivileged user, since PostgreSQL refuses root.
type Postgres struct {
	process
	bin, data string
	as        []string // command line that changes the user, empty when there is no need
	port      int
	schemas   atomic.Int64
	paused    bool
}

// StartPostgres starts a server with an empty data base, which ends with the test. Each setting is one of
// postgresql.conf, such as "shared_buffers=512MB"; those who measure want "fsync=on". Tests share a server by schemas of their own (Schema).
func StartPostgres(t testing.TB, settings ...string) *Postgres {
	t.Helper()
	p := &Postgres{port: FreePort(t)}
	var err error
	if p.bin, err = postgresBin(); err != nil {
		Missing(t, "PostgreSQL: %v (Debian: apt-get install postgresql)", err)
	}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		if uid, gid, err = unprivileged(); err != nil {
			Missing(t, "PostgreSQL as root: %v", err)
		}
		// The signal at the parent's death is lost with the change of the user, so it is asked for behind that.
		p.as = []string{"setpriv", "--reuid", strconv.Itoa(uid), "--regid", strconv.Itoa(gid), "--clear-groups", "--pdeathsig", "KILL", "--"}
	}
	template, err := p.template(uid, gid)
	if err != nil {
		t.Fatalf("initdb: %v", err)
	}
	// Not t.TempDir: the server's user must be able to go through every folder above.
	dir, err := os.MkdirTemp("", "tributary-postgres-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the server's folder: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	p.data = filepath.Join(dir, "data")
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", template, p.data).CombinedOutput(); err != nil {
		t.Fatalf("copy the template: %v\n%s", err, out)
	}
	args := append([]string{}, p.as...)
	args = append(args, filepath.Join(p.bin, "postgres"), "-D", p.data)
	for _, s := range append([]string{
		// A process that is killed loses nothing that it gave to the operating system, so syncs would only cost time.
		"fsync=off", "listen_addresses=127.0.0.1", fmt.Sprintf("port=%d", p.port), "unix_socket_directories=", "max_connections=64",
	}, settings...) {
		args = append(args, "-c", s)
	}
	p.process = process{
		name: "postgres", log: filepath.Join(dir, "log"),
		command: func() *exec.Cmd { return exec.Command(args[0], args[1:]...) }, //nolint:noctx // it lives as long as the test
		ready:   p.answers,
	}
	p.Start(t)
	t.Cleanup(p.Kill)
	return p
}

// Start starts the server again after Stop or Kill; it recovers what was committed.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
}

// Stop ends the server as an administrator does (pg_ctl stop -m fast): sessions are broken off, nothing is lost.
func (p *Postgres) Stop() { p.Resume(); p.signal(syscall.SIGINT, true) }

// Kill ends the server and all its sessions at once (SIGKILL). It returns when all of them are gone.
func (p *Postgres) Kill() {
	p.signal(syscall.SIGSTOP, false) // no new sessions while the present ones are counted
	sessions := p.sessions()
	for _, pid := range sessions {
		syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // it may be gone
	}
	p.signal(syscall.SIGKILL, true)
	for _, pid := range sessions {
		for deadline := time.Now().Add(startTimeout); runs(pid) && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond) // a new server refuses to start beside them
		}
	}
	p.paused = false
}

// Pause stops the server and its sessions where they are: connections stay open and nothing answers.
func (p *Postgres) Pause() {
	p.signal(syscall.SIGSTOP, false)
	for _, pid := range p.sessions() {
		syscall.Kill(pid, syscall.SIGSTOP) //nolint:errcheck // it may be gone
	}
	p.paused = true
}

// Resume lets a paused server go on.
func (p *Postgres) Resume() {
	if !p.paused {
		return
	}
	for _, pid := range p.sessions() {
		syscall.Kill(pid, syscall.SIGCONT) //nolint:errcheck // it may be gone
	}
	p.signal(syscall.SIGCONT, false)
	p.paused = false
}

// sessions returns the server's children. Each is the head of a process group of its own.
func (p *Postgres) sessions() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	var out []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if state, parent := stat(pid); parent == p.cmd.Process.Pid && state != "Z" {
			out = append(out, pid)
		}
	}
	return out
}

// stat returns a process' state, "" when there is none, and its parent: proc(5).
func stat(pid int) (state string, parent int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // pid (name) state ppid …; names may have spaces
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return "", 0
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent
}

// runs tells that a process has not ended. One that nobody waited for yet has.
func runs(pid int) bool {
	state, _ := stat(pid)
	return state != "" && state != "Z"
}

// URL names the server's data base.
func (p *Postgres) URL() string {
	return fmt.Sprintf("postgres://tributary@127.0.0.1:%d/postgres?sslmode=disable", p.port)
}

// Schema returns a URL with the name of a schema that nobody else has: ?schema=….
func (p *Postgres) Schema(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test %d", p.schemas.Add(1)) // a name that must be quoted
	return p.URL() + "&schema=" + url.QueryEscape(name)
}

// Exec runs statements, several divided by semicolons, as the server's owner.
func (p *Postgres) Exec(ctx context.Context, text string) error {
	conn, err := pgx.Connect(ctx, p.URL())
	if err != nil {
		return err
	}
	_, err = conn.PgConn().Exec(ctx, text).ReadAll()
	return errors.Join(err, conn.Close(ctx))
}

func (p *Postgres) answers(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.URL())
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// postgresBin finds the folder of the newest server: Debian keeps servers out of the path.
func postgresBin() (string, error) {
	best, version := "", 0
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	for _, path := range found {
		if n, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))); err == nil && n > version {
			best, version = filepath.Dir(path), n
		}
	}
	if best != "" {
		return best, nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", err
	}
	return filepath.Dir(path), nil
}

// unprivileged returns who root's server runs as.
func unprivileged() (uid, gid int, err error) {
	if _, err := exec.LookPath("setpriv"); err != nil {
		return 0, 0, err
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		who, err = user.Lookup("nobody")
	}
	if err != nil {
		return 0, 0, err
	}
	uid, err1 := strconv.Atoi(who.Uid)
	gid, err2 := strconv.Atoi(who.Gid)
	return uid, gid, errors.Join(err1, err2)
}

// template returns a folder that initdb made; servers get copies. Making it takes two seconds, so it is kept
// on the machine, by version and user.
func (p *Postgres) template(uid, gid int) (string, error) {
	builds.Lock()
	defer builds.Unlock()
	version, err := exec.CommandContext(context.Background(), filepath.Join(p.bin, "postgres"), "--version").Output()
	if err != nil {
		return "", err
	}
	home := filepath.Join(os.TempDir(), fmt.Sprintf("tributary-engines-%d", os.Getuid()))
	name := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return -1
	}, strings.Fields(string(bytes.TrimSpace(version)))[2])
	path := filepath.Join(home, fmt.Sprintf("postgres-%s-%d", name, uid))
	if _, err := os.Stat(filepath.Join(path, "PG_VERSION")); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(home, "initdb-")
	if err != nil {
		return "", err
	}
	if err := os.Chown(fresh, uid, gid); err != nil {
		return "", err
	}
	args := append([]string{}, p.as...)
	args = append(args, filepath.Join(p.bin, "initdb"), "-D", fresh, "-U", "tributary", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	if out, err := exec.CommandContext(context.Background(), args[0], args[1:]...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	if err := os.Rename(fresh, path); err != nil { // packages are tested side by side: another was quicker
		os.RemoveAll(fresh) //nolint:errcheck // only space is lost
		if _, err := os.Stat(filepath.Join(path, "PG_VERSION")); err != nil {
			return "", err
		}
	}
	return path, nil
}

// Log names the file with what the server printed.
func (p *Postgres) Log() string { return p.log }
