package ohif

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"strings"
)

// Defaults of Config and AppConfig.
const (
	DefaultMount    = "/ohif/"
	DefaultDICOMWeb = "/dicom-web"

	// DefaultCacheBytes holds the compressed form of all that one session of OHIF 3.13 fetches (27 MB, some 8 MB
	// compressed) with room for its rarer parts.
	DefaultCacheBytes = 48 << 20
)

// Config says what to serve. Dir is required, everything else has a default.
type Config struct {
	Dir    string    // the dist folder of @ohif/app; only read
	Mount  string    // path below which the viewer lives, DefaultMount when empty
	App    AppConfig // what app-config.js says; its Mount is Config's
	Script []byte    // sent as app-config.js instead of App, when not nil

	CacheBytes int64        // limit of compressed files in memory, DefaultCacheBytes when 0
	Log        *slog.Logger // nil discards
}

// AppConfig is what the viewer is told about its server.
type AppConfig struct {
	Mount    string // path below which the viewer lives, DefaultMount when empty
	DICOMWeb string // path or URL of DICOMweb, DefaultDICOMWeb when empty
	Store    bool   // DICOMweb takes STOW-RS, for what the viewer makes: measurements, segmentations
}

// withDefaults checks and completes c.
func (c AppConfig) withDefaults() (AppConfig, error) {
	if c.Mount == "" {
		c.Mount = DefaultMount
	}
	if strings.ContainsAny(c.Mount, "\"'<>\\?#%& \t\r\n") || !strings.HasPrefix(c.Mount, "/") || strings.HasPrefix(c.Mount, "//") {
		return c, fmt.Errorf("mount %q: a mount is a plain path that begins with a slash", c.Mount)
	}
	if c.Mount = path.Clean(c.Mount); c.Mount != "/" {
		c.Mount += "/"
	}
	if c.DICOMWeb == "" {
		c.DICOMWeb = DefaultDICOMWeb
	}
	u, err := url.Parse(c.DICOMWeb)
	absolute := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
	local := err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(u.Path, "/")
	if !absolute && !local || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return c, fmt.Errorf("DICOMweb address: want a path, or a URL of http or https without user and query")
	}
	c.DICOMWeb = strings.TrimRight(c.DICOMWeb, "/")
	return c, nil
}

// window is the form of OHIF's window.config that we use.
type window struct {
	RouterBasename        *string        `json:"routerBasename"`
	Extensions            []string       `json:"extensions"`
	Modes                 []string       `json:"modes"`
	ShowStudyList         bool           `json:"showStudyList"`
	Workers               int            `json:"maxNumberOfWebWorkers"`
	WarnCrossOrigin       bool           `json:"showWarningMessageForCrossOrigin"`
	CPUFallbackMessage    bool           `json:"showCPUFallbackMessage"`
	LoadingIndicator      bool           `json:"showLoadingIndicator"`
	InvestigationalDialog map[string]any `json:"investigationalUseDialog"`
	Requests              map[string]int `json:"maxNumRequests"`
	DefaultSource         string         `json:"defaultDataSourceName"`
	Sources               []source       `json:"dataSources"`
}

type source struct {
	Namespace     string         `json:"namespace"`
	Name          string         `json:"sourceName"`
	Configuration map[string]any `json:"configuration"`
}

// Script is app-config.js, the file in which OHIF looks for its configuration.
func (c AppConfig) Script() ([]byte, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	var base *string // null stands for the root
	if c.Mount != "/" {
		trimmed := strings.TrimSuffix(c.Mount, "/")
		base = &trimmed
	}
	text, err := json.MarshalIndent(window{
		RouterBasename: base, Extensions: []string{}, Modes: []string{}, ShowStudyList: true, Workers: 2,
		CPUFallbackMessage: true, LoadingIndicator: true,
		InvestigationalDialog: map[string]any{"option": "never"},
		Requests:              map[string]int{"interaction": 20, "thumbnail": 5, "prefetch": 10},
		DefaultSource:         "dicomweb",
		Sources: []source{{
			Namespace: "@ohif/extension-default.dataSourcesModule.dicomweb", Name: "dicomweb",
			Configuration: map[string]any{
				"friendlyName": "Tributary", "name": "tributary",
				"qidoRoot": c.DICOMWeb, "wadoRoot": c.DICOMWeb, "wadoUriRoot": c.DICOMWeb,
				"qidoSupportsIncludeField": true, "supportsReject": false, "supportsStow": c.Store,
				"supportsFuzzyMatching": false, "supportsWildcard": true, "staticWado": false,
				"imageRendering": "wadors", "thumbnailRendering": "wadors", "enableStudyLazyLoad": true,
				// ECG, PDF and video come as one body each. Quotation marks in Accept trip proxies.
				"singlepart": "bulkdata,pdf,video", "omitQuotationForMultipartRequest": true,
				"bulkDataURI": map[string]any{"enabled": true, "relativeResolution": "studies"},
			},
		}},
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(append([]byte("window.config = "), text...), ";\n"...), nil
}
