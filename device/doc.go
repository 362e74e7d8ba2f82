// Package device is the other side of the doors: what an ultrasound kit, an ECG cart or an upload page
// does to hand its files to a node. It sends by C-STORE, STOW-RS, plain upload and tus, streams each
// file, and repeats what may succeed later. `tributary send`, `tributary demo`, the bench and the tests
// use it.
package device
