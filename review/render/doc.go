// Package render turns one frame of DICOM pixel data into a picture that a browser shows: the Modality LUT,
// VOI LUT and Presentation LUT steps of PS3.4 §N.2 for grey, palettes and the YBR spaces of PS3.3
// §C.7.6.3.1.2 for colour, then crop, pixel aspect ratio and scale.
//
// A Module is what the recorded header says of the pixels. Everything in it came from a device and is checked
// by ReadModule before anything is sized by it: MaxSamples and MaxFrameBytes bound every frame, and
// Options.Memory says beforehand what drawing one takes, so that a server can bound all of them together.
//
// Decoders kept: native, deflated and RLE Lossless of our own, JPEG Baseline and 8-bit Extended by image/jpeg.
// Everything else is a *NoDecoderError that names the Transfer Syntax. Pixels that contradict their header, or
// themselves, are a *PixelError. Overlays, ICC profiles and Supplemental Palettes are not drawn.
package render
