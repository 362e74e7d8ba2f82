package kafkalog

// partitionOf returns where the records of a key lie, as the default partitioner of Kafka's Java client
// computes it (murmur2 of the key's bytes), so that other writers and readers agree. The empty key is one
// key among others.
func partitionOf(key string, partitions int) int32 {
	return int32((murmur2([]byte(key)) & 0x7fffffff) % uint32(partitions)) //nolint:gosec // the remainder is small
}

// murmur2 is Austin Appleby's MurmurHash2 with Kafka's seed (org.apache.kafka.common.utils.Utils.murmur2).
func murmur2(data []byte) uint32 {
	const m, r = 0x5bd1e995, 24
	h := uint32(0x9747b28c) ^ uint32(len(data)) //nolint:gosec // keys are short
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> r
		h = h*m ^ k*m
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(data[0])) * m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
