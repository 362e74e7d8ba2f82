package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// noDelay turns off Nagle's algorithm in DCMTK, which otherwise waits some 40 ms with each answer on
// loopback: peers run at their best.
var noDelay = []string{"TCP_NODELAY=1"}

// startStorescp starts DCMTK's receiver: it writes each object as it came, in a child for each Association,
// syncs nothing and indexes nothing. It listens on all addresses, having no option against that.
func startStorescp(ctx context.Context, path, dir string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	out := filepath.Join(dir, "data")
	if err := os.Mkdir(out, 0o755); err != nil {
		return nil, err
	}
	s := &server{dicom: "127.0.0.1:" + strconv.Itoa(port), aet: "STORESCP"}
	s.pid, s.stop, err = child(dir, path, noDelay,
		"--fork", "--bit-preserving", "-aet", s.aet, "-pdu", "131072", "+xa", "-dhl", "-od", out, strconv.Itoa(port))
	if err != nil {
		return nil, err
	}
	return ready(ctx, s, dir)
}

// orthancPlugin is where Debian's orthanc-dicomweb puts DICOMweb.
const orthancPlugin = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"

// orthancPath returns the program, when the plugin is there too.
func orthancPath() (string, error) {
	path, err := exec.LookPath("Orthanc")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/Orthanc"); err != nil {
			return "", err
		}
	}
	if _, err := os.Stat(orthancPlugin); err != nil {
		return "", fmt.Errorf("its DICOMweb plugin is not installed: %w", err)
	}
	return path, nil
}

// startOrthanc starts Orthanc with its SQLite index and DICOMweb. It syncs each stored file before it
// answers (its default; not while filling) but not the commits of its index.
func startOrthanc(ctx context.Context, path, dir string, o startOptions) (*server, error) {
	httpPort, err := freePort()
	if err != nil {
		return nil, err
	}
	dicomPort, err := freePort()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	config, err := json.MarshalIndent(map[string]any{
		"Name": "bench", "StorageDirectory": data, "IndexDirectory": data, "Plugins": []string{orthancPlugin},
		"HttpPort": httpPort, "HttpBindAddresses": []string{"127.0.0.1"}, "RemoteAccessAllowed": false, "AuthenticationEnabled": false,
		"KeepAlive": true, "TcpNoDelay": true,
		"DicomAet": "ORTHANC", "DicomPort": dicomPort, "DicomCheckCalledAet": false, "DicomAlwaysAllowStore": true, "DicomAlwaysAllowEcho": true,
		"MaximumPduLength": 131072, "SyncStorageArea": !o.filling, "OverwriteInstances": false, "LimitFindResults": 0,
		"DicomWeb": map[string]any{"Enable": true, "Root": "/dicom-web/"},
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "orthanc.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	s := &server{
		dicom: "127.0.0.1:" + strconv.Itoa(dicomPort), aet: "ORTHANC", http: "127.0.0.1:" + strconv.Itoa(httpPort),
		stowPath: "/dicom-web/studies", uploadPath: "/instances", wado: "/dicom-web", ping: "/system", stored: `"Success"`,
	}
	if s.pid, s.stop, err = child(dir, path, noDelay, file); err != nil {
		return nil, err
	}
	return ready(ctx, s, dir)
}

// ready returns s when it answers, or ends it and says what it logged.
func ready(ctx context.Context, s *server, dir string) (*server, error) {
	err := answering(ctx, s)
	if err == nil {
		return s, nil
	}
	s.stop()
	log, _ := os.ReadFile(filepath.Join(dir, "server.log")) // "" says nothing more
	return nil, fmt.Errorf("%w\n%s", err, log[max(0, len(log)-2000):])
}
