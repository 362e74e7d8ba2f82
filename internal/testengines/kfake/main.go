// Command kfake runs franz-go's Kafka for tests as a process, so that it can be killed, stopped and
// started again with its data: package testengine starts it.
//
//	kfake -data DIR -ports 9092,9093 [-listen 19092,19093] [-user U -password-file F -mechanism M] [-cert F -key F] [-config K=V]…
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

// configs collects repeated K=V.
type configs map[string]string

func (c configs) String() string { return fmt.Sprint(map[string]string(c)) }

func (c configs) Set(text string) error {
	k, v, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("%q is not KEY=VALUE", text)
	}
	c[k] = v
	return nil
}

func run() error {
	data := flag.String("data", "", "folder of everything that the brokers keep; locked")
	ports := flag.String("ports", "", "a port of loopback for each broker, separated by commas")
	listen := flag.String("listen", "", "ports to listen at instead, where something forwards to them from those that clients are told")
	user := flag.String("user", "", "the one user that may connect (SASL)")
	passwordFile := flag.String("password-file", "", "file with the user's password")
	mechanism := flag.String("mechanism", "SCRAM-SHA-512", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
	cert := flag.String("cert", "", "certificate (PEM): listen with TLS")
	key := flag.String("key", "", "key of the certificate (PEM)")
	broker := configs{}
	flag.Var(broker, "config", "KEY=VALUE of the brokers; repeatable")
	flag.Parse()

	if *data == "" {
		return fmt.Errorf("-data names no folder")
	}
	lock, err := lockFolder(*data)
	if err != nil {
		return err
	}
	defer lock.Close()

	var numbers []int
	for text := range strings.SplitSeq(*ports, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("-ports: %w", err)
		}
		numbers = append(numbers, n)
	}
	opts := []kfake.Opt{
		kfake.NumBrokers(len(numbers)), kfake.Ports(numbers...),
		kfake.DataDir(*data), kfake.SyncWrites(), // what was acknowledged survives SIGKILL and more
		kfake.WithLogger(kfake.BasicLogger(os.Stderr, kfake.LogLevelWarn)),
		kfake.BrokerConfigs(broker),
	}
	if *listen != "" {
		behind := strings.Split(*listen, ",")
		if len(behind) != len(numbers) {
			return fmt.Errorf("-listen has %d ports, -ports %d", len(behind), len(numbers))
		}
		opts = append(opts, kfake.ListenFn(func(network, told string) (net.Listener, error) {
			_, port, err := net.SplitHostPort(told)
			if err != nil {
				return nil, err
			}
			for i, n := range numbers {
				if port == strconv.Itoa(n) {
					l, err := net.Listen(network, net.JoinHostPort("127.0.0.1", behind[i]))
					return hidden{l, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: n}}, err
				}
			}
			return nil, fmt.Errorf("%s is none of -ports", told)
		}))
	}
	if *user != "" {
		password, err := os.ReadFile(*passwordFile)
		if err != nil {
			return err
		}
		opts = append(opts, kfake.EnableSASL(), kfake.Superuser(*mechanism, *user, strings.TrimSpace(string(password))))
	}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			return err
		}
		opts = append(opts, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	cluster.Close()
	return nil
}

// hidden is a listener that clients know by another address.
type hidden struct {
	net.Listener
	told net.Addr
}

func (h hidden) Addr() net.Addr { return h.told }

// lockFolder keeps two clusters from writing one folder. The lock ends with the process.
func lockFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("%s is in use by another process: %w", dir, err)
	}
	return f, nil
}
