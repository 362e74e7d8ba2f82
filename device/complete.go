package device

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

// completeAtOnce is how many studies one request names.
const completeAtOnce = 500

// Complete tells a node that studies have been sent whole; signal says who knows. Only nodes that are reached by HTTP
// can be told.
func (t Target) Complete(ctx context.Context, signal string, studies []string) error {
	for some := range slices.Chunk(studies, completeAtOnce) {
		body, err := json.Marshal(map[string]any{"studies": some, "signal": signal})
		if err != nil {
			return fmt.Errorf("encode studies: %w", err)
		}
		header := http.Header{"Content-Type": {"application/json"}}
		got, err := t.post(ctx, http.MethodPost, t.Address+"/completeness", header, bytes.NewReader(body), int64(len(body)))
		if err != nil {
			return err
		}
		if got.code != http.StatusOK {
			return fmt.Errorf("the node says %s", got.status)
		}
	}
	return nil
}
