package event

import "encoding/json"

func sizeHint(in *Instance) int { return 0 }

func appendInstance(b []byte, in *Instance) ([]byte, error) {
	return json.Marshal(in)
}

func decodeInstance(data []byte, in *Instance) bool { return false }
