package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tributary-dicom/tributary/review/ohif"
)

// ohifFlags are about the viewer that operators bring.
type ohifFlags struct {
	OHIFDir    string `help:"Serve the OHIF viewer of this folder, the dist folder of @ohif/app, at /ohif/." name:"ohif-dir" env:"TRIBUTARY_OHIF_DIR" placeholder:"DIR"`
	OHIFConfig string `help:"Serve this file as OHIF's app-config.js (default: what 'tributary ohif-config' prints)." name:"ohif-config" env:"TRIBUTARY_OHIF_CONFIG" placeholder:"FILE"`
}

// maxAppConfig bounds the file of --ohif-config, bytes.
const maxAppConfig = 1 << 20

func (f ohifFlags) check(cfg nodeConfig) error {
	var errs []error
	if f.OHIFDir != "" && !cfg.has(roleReview) {
		errs = append(errs, errors.New("--ohif-dir: a node without the role review serves no viewer"))
	}
	if f.OHIFConfig != "" && f.OHIFDir == "" {
		errs = append(errs, errors.New("--ohif-config is for the viewer of --ohif-dir"))
	}
	return errors.Join(errs...)
}

// openViewer opens the folder of --ohif-dir; nil without one.
func (f ohifFlags) openViewer(cfg nodeConfig) (*ohif.Viewer, error) {
	if f.OHIFDir == "" {
		return nil, nil
	}
	settings := ohif.Config{Dir: f.OHIFDir, App: ohif.AppConfig{Store: cfg.has(roleIntake)}, Log: cfg.log}
	if f.OHIFConfig != "" {
		script, err := readBounded(f.OHIFConfig, maxAppConfig)
		if err != nil {
			return nil, fmt.Errorf("--ohif-config: %w", err)
		}
		settings.Script = script
	}
	viewer, err := ohif.Open(settings)
	if err != nil {
		return nil, fmt.Errorf("--ohif-dir: %w", err)
	}
	return viewer, nil
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return text, err
}

// ohifConfigCmd is for an OHIF that another server serves, and a start for a configuration of one's own.
type ohifConfigCmd struct {
	Mount    string `help:"Path below which OHIF is served." default:"/ohif/" placeholder:"PATH"`
	DICOMWeb string `help:"Path or URL of the node's DICOMweb, as browsers reach it." name:"dicomweb" default:"/dicom-web" placeholder:"URL"`
	NoStore  bool   `help:"The node has no door for STOW-RS: OHIF stores nothing." name:"no-store"`
}

// Run prints app-config.js.
func (c ohifConfigCmd) Run(std streams) error {
	script, err := ohif.AppConfig{Mount: c.Mount, DICOMWeb: c.DICOMWeb, Store: !c.NoStore}.Script()
	if err != nil {
		return usageError{err}
	}
	_, err = std.out.Write(script)
	return err
}
