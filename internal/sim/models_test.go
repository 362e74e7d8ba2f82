package sim

import (
	"testing"

	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/blobtest"
)

// TestSimS3 holds the model against the contract of blob stores, on a day without faults.
func TestSimS3(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Store {
		return &simS3{w: &World{}, objects: map[string]object{}}
	})
}
