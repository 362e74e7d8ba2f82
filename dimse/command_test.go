package dimse

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"strings"
	"testing"
)

func everyCommand() []Command {
	store := storeRQ()
	store.MoveOriginatorAETitle, store.MoveOriginatorMessageID = "MOVER", 3
	return []Command{
		{Field: CEchoRQ, MessageID: 1, AffectedSOPClassUID: Verification},
		store,
		{Field: CStoreRSP, MessageIDBeingRespondedTo: 9, Status: StatusOutOfResources, ErrorComment: "full"},
		{Field: CFindRQ, MessageID: 2, AffectedSOPClassUID: patFind, HasData: true, Priority: PriorityHigh},
		{Field: CMoveRQ, MessageID: 2, AffectedSOPClassUID: patFind, HasData: true, MoveDestination: "DEST"},
		{
			Field: CGetRSP, MessageIDBeingRespondedTo: 2, Status: StatusPending,
			Elements: []Element{US(TagRemainingSuboperations, 5), US(TagCompletedSuboperations, 1)},
		},
		{Field: CCancelRQ, MessageIDBeingRespondedTo: 2},
		{Field: NEventReportRQ, MessageID: 4, AffectedSOPClassUID: "1.2.840.10008.1.20.1", AffectedSOPInstanceUID: "1.2.840.10008.1.20.1.1", EventTypeID: 2, HasData: true},
		{Field: NActionRQ, MessageID: 4, RequestedSOPClassUID: "1.2.840.10008.1.20.1", RequestedSOPInstanceUID: "1.2.840.10008.1.20.1.1", ActionTypeID: 1, HasData: true},
		{Field: NActionRSP, MessageIDBeingRespondedTo: 4, Status: StatusDuplicateInvocation, ErrorID: 2, Elements: []Element{{0x0010, []byte{1, 2, 3, 4}}, {0x5010, []byte("unknown ")}}},
	}
}

func TestCommandRoundTrip(t *testing.T) {
	for _, c := range everyCommand() {
		b := c.AppendTo(nil)
		if n := binary.LittleEndian.Uint32(b[8:]); int(n) != len(b)-12 {
			t.Errorf("%04X: group length %d, want %d", uint16(c.Field), n, len(b)-12)
		}
		last := -1
		for rest := b; len(rest) > 0; {
			tag := int(binary.LittleEndian.Uint16(rest[2:]))
			n := int(binary.LittleEndian.Uint32(rest[4:]))
			if tag <= last || n%2 != 0 {
				t.Errorf("%04X: element %04X of %d bytes after %04X", uint16(c.Field), tag, n, last)
			}
			last, rest = tag, rest[8+n:]
		}
		got, err := DecodeCommand(b)
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("got %+v, %v; want %+v", got, err, c)
		}
		for n := range b {
			_, _ = DecodeCommand(b[:n])
		}
	}
}

func TestCommandMalformed(t *testing.T) {
	good := echoRQ()
	element := func(tag uint16, v ...byte) []byte {
		b := binary.LittleEndian.AppendUint16([]byte{0, 0}, tag)
		return append(binary.LittleEndian.AppendUint32(b, uint32(len(v))), v...)
	}
	for name, b := range map[string][]byte{
		"empty":               nil,
		"no Command Field":    bytes.Join([][]byte{element(0x0110, 1, 0), element(0x0800, 1, 1)}, nil),
		"no Message ID":       bytes.Join([][]byte{element(0x0100, 0x30, 0), element(0x0800, 1, 1)}, nil),
		"no Data Set Type":    bytes.Join([][]byte{element(0x0100, 0x30, 0), element(0x0110, 1, 0)}, nil),
		"no Status":           bytes.Join([][]byte{element(0x0100, 0x30, 0x80), element(0x0120, 1, 0), element(0x0800, 1, 1)}, nil),
		"field of four bytes": append(element(0x0100, 0x30, 0, 0, 0), good...),
		"field twice":         append(element(0x0100, 0x30, 0), good...),
		"group 0008":          append([]byte{8, 0, 0, 0, 0, 0, 0, 0}, good...),
		"length 0xFFFFFFFF":   append(good[:len(good):len(good)], 0, 0, 0, 0x90, 0xFF, 0xFF, 0xFF, 0xFF),
		"seven bytes behind":  append(good[:len(good):len(good)], 0, 0, 0, 0x90, 0, 0, 0),
	} {
		if c, err := DecodeCommand(b); err == nil {
			t.Errorf("%s: decoded to %+v", name, c)
		}
	}
	// Blemishes that devices have.
	if _, err := DecodeCommand(good[12:]); err != nil {
		t.Errorf("without group length: %v", err)
	}
	wrong := bytes.Clone(good)
	wrong[8] = 99
	if _, err := DecodeCommand(wrong); err != nil {
		t.Errorf("wrong group length: %v", err)
	}
}

func TestErrorComment(t *testing.T) {
	for in, want := range map[string]string{
		"full":                   "full",
		"a\\b\nc\x00é":           "a?b?c??",
		strings.Repeat("x", 100): strings.Repeat("x", 64),
	} {
		if got := errorComment(in); got != want {
			t.Errorf("errorComment(%q) = %q, want %q", in, got, want)
		}
	}
}
