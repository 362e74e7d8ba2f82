package testengine

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Kafka is a cluster of brokers in one process: kfake, franz-go's Kafka. It keeps its data and its ports
// when it is killed and started again, and writes are synced before they are acknowledged.
type Kafka struct {
	t       testing.TB
	ports   []string
	caFile  string
	data    string
	options kafkaOptions
	process process
}

type kafkaOptions struct {
	brokers                   int
	user, password, mechanism string
	tls                       bool
	configs                   []string
	stopped                   bool
	front                     func(addr string) string
}

// KafkaOption changes what StartKafka starts.
type KafkaOption func(*kafkaOptions)

// KafkaBrokers is the number of brokers, each on a port of its own; 1 when not told.
func KafkaBrokers(n int) KafkaOption { return func(o *kafkaOptions) { o.brokers = n } }

// KafkaSASL lets in one user alone, by mechanism PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
func KafkaSASL(mechanism, user, password string) KafkaOption {
	return func(o *kafkaOptions) { o.mechanism, o.user, o.password = mechanism, user, password }
}

// KafkaTLS makes the brokers speak TLS with a certificate for 127.0.0.1 that CAFile verifies.
func KafkaTLS() KafkaOption { return func(o *kafkaOptions) { o.tls = true } }

// KafkaConfig sets a configuration of the brokers, such as message.max.bytes.
func KafkaConfig(key, value string) KafkaOption {
	return func(o *kafkaOptions) { o.configs = append(o.configs, key+"="+value) }
}

// KafkaBehind puts something between clients and each broker: front gets the broker's host:port and returns the
// one on loopback that clients are told, and from where it forwards.
func KafkaBehind(front func(addr string) string) KafkaOption {
	return func(o *kafkaOptions) { o.front = front }
}

// KafkaStopped takes the ports but starts nothing: Start does.
func KafkaStopped() KafkaOption { return func(o *kafkaOptions) { o.stopped = true } }

// StartKafka starts a cluster with an empty folder, and ends it with the test.
func StartKafka(t testing.TB, opts ...KafkaOption) *Kafka {
	t.Helper()
	bin, err := buildKfake()
	if err != nil {
		Missing(t, "kfake cannot be built (go and the module cache are needed): %v", err)
	}
	k := &Kafka{t: t, options: kafkaOptions{brokers: 1}}
	for _, o := range opts {
		o(&k.options)
	}
	dir := t.TempDir()
	var listen []string
	for range k.options.brokers {
		listen = append(listen, strconv.Itoa(FreePort(t)))
	}
	k.ports = listen
	if k.options.front != nil {
		k.ports = nil
		for _, port := range listen {
			_, told, err := net.SplitHostPort(k.options.front(net.JoinHostPort("127.0.0.1", port)))
			if err != nil {
				t.Fatal(err)
			}
			k.ports = append(k.ports, told)
		}
	}
	k.data = filepath.Join(dir, "data")
	args := []string{"-data", k.data, "-ports", strings.Join(k.ports, ","), "-listen", strings.Join(listen, ",")}
	if k.options.user != "" {
		file := filepath.Join(dir, "password")
		if err := os.WriteFile(file, []byte(k.options.password), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-user", k.options.user, "-password-file", file, "-mechanism", k.options.mechanism)
	}
	if k.options.tls {
		k.caFile = filepath.Join(dir, "ca.pem")
		key := filepath.Join(dir, "key.pem")
		if err := writeCertificate(k.caFile, key); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-cert", k.caFile, "-key", key)
	}
	for _, c := range k.options.configs {
		args = append(args, "-config", c)
	}
	k.process = process{
		name:    "kfake",
		command: func() *exec.Cmd { return exec.CommandContext(context.Background(), bin, args...) },
		ready: func(ctx context.Context) error {
			for _, port := range listen {
				if err := listening(ctx, net.JoinHostPort("127.0.0.1", port)); err != nil {
					return err
				}
			}
			return nil
		},
		log: filepath.Join(dir, "kfake.log"),
	}
	if !k.options.stopped {
		k.Start()
	}
	t.Cleanup(func() {
		k.Continue()
		k.Kill()
		if t.Failed() {
			t.Logf("kfake: %s", k.process.tail())
		}
	})
	return k
}

// buildKfake compiles internal/testengines/kfake, a module of its own, once a test binary.
func buildKfake() (string, error) {
	const name = "./kfake"
	builds.Lock()
	defer builds.Unlock()
	if bin, ok := binaries[name]; ok {
		return bin, nil
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(os.TempDir(), fmt.Sprintf("tributary-engines-%d", os.Getuid()), "kfake")
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		return "", err
	}
	fresh := fmt.Sprintf("%s.%d", bin, os.Getpid())
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", fresh, ".")
	cmd.Dir = filepath.Join(root, "internal", "testengines", "kfake")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build kfake: %w\n%s", err, out)
	}
	if err := os.Rename(fresh, bin); err != nil {
		return "", err
	}
	binaries[name] = bin
	return bin, nil
}

// Brokers returns host:port of each broker.
func (k *Kafka) Brokers() []string {
	all := make([]string, len(k.ports))
	for i, port := range k.ports {
		all[i] = net.JoinHostPort("127.0.0.1", port)
	}
	return all
}

// URL returns kafka://BROKERS/prefix, without a query.
func (k *Kafka) URL(prefix string) string {
	return "kafka://" + strings.Join(k.Brokers(), ",") + "/" + prefix
}

// CAFile is the certificate (PEM) that verifies the brokers; "" without KafkaTLS.
func (k *Kafka) CAFile() string { return k.caFile }

// Data is the folder of all that the cluster keeps. A copy that is made and put back while it is stopped is a
// cluster that lost its newest records.
func (k *Kafka) Data() string { return k.data }

// Start starts the cluster again on the same ports with the same data.
func (k *Kafka) Start() {
	k.t.Helper()
	if err := k.process.start(); err != nil {
		k.t.Fatal(err)
	}
}

// Stop ends the cluster in good order.
func (k *Kafka) Stop() { k.process.signal(syscall.SIGTERM, true) }

// Kill ends the cluster by SIGKILL.
func (k *Kafka) Kill() { k.process.signal(syscall.SIGKILL, true) }

// Pause stops the cluster where it is: its ports still accept, and nobody answers. It returns when every
// thread has stopped.
func (k *Kafka) Pause() {
	k.t.Helper()
	k.process.signal(syscall.SIGSTOP, false)
	for deadline := time.Now().Add(startTimeout); !k.stopped(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			k.t.Fatal("kfake did not stop")
		}
	}
}

// stopped reports whether every thread of the process is (proc_pid_stat(5): state T).
func (k *Kafka) stopped() bool {
	k.process.mu.Lock()
	defer k.process.mu.Unlock()
	if k.process.cmd == nil {
		return true
	}
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", k.process.cmd.Process.Pid))
	for _, file := range threads {
		text, err := os.ReadFile(file)
		_, state, _ := strings.Cut(string(text), ") ") // behind the name
		if err == nil && !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return len(threads) > 0
}

// Continue ends Pause.
func (k *Kafka) Continue() { k.process.signal(syscall.SIGCONT, false) }

// writeCertificate makes a self-signed certificate for 127.0.0.1, which is its own authority.
func writeCertificate(certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test engine"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}
