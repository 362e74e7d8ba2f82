package indexer

// Distrust makes the indexer ask the index before every transaction whether it is where it was.
func (x *Indexer) Distrust() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.trust = 0
}
