package reprocess

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Kept is what is remembered of a job.
type Kept struct {
	Status Status `json:"status"`
	Place  Place  `json:"place"` // everything up to here is done in this pass
	Pass   int    `json:"pass"`
}

// Keeper remembers one job in a file. A file that is lost costs time: what is done is in the log.
type Keeper struct{ Path string }

// maxKept bounds the file, bytes.
const maxKept = 1 << 20

// Load returns what was saved, nil for nothing. A file that cannot be understood counts as nothing.
func (k *Keeper) Load() (*Kept, error) {
	f, err := os.Open(k.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read how far reprocessing is: %w", err)
	}
	defer f.Close()
	doc, err := io.ReadAll(io.LimitReader(f, maxKept))
	if err != nil {
		return nil, fmt.Errorf("read how far reprocessing is: %w", err)
	}
	return decodeKept(doc), nil
}

func decodeKept(doc []byte) *Kept {
	kept := new(Kept)
	if json.Unmarshal(doc, kept) != nil || kept.Status.ID == "" || kept.Pass < 0 {
		return nil
	}
	return kept
}

// Save replaces the file, in one step and durably.
func (k *Keeper) Save(kept *Kept) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write how far reprocessing is: %w", err)
		}
	}()
	doc, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(k.Path), ".reprocess-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(doc, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), k.Path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error counts
	}
	return err
}
