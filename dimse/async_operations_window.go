package dimse

// AsyncOperationsWindow is the item 53H (PS3.7 §D.3.3.3). 0 is no limit. It is parsed and never offered.
type AsyncOperationsWindow struct {
	Invoked   uint16
	Performed uint16
}
