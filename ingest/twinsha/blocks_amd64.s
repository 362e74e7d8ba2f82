#include "textflag.h"

// Stream a: working variables in X1 (F E B A) and X2 (H G D C), message words in X3 to X6, X7 to reckon.
// Stream b: X8, X9, X10 to X13, X14. X0 is what SHA256RNDS2 adds; X15 swaps the bytes of each word.

// Four rounds of each stream with the words ma and mb; k is the offset of the constants.
#define ROUNDS(k, ma, mb) \
	MOVOU       k(AX), X7       \
	MOVO        X7, X14         \
	PADDL       ma, X7          \
	PADDL       mb, X14         \
	MOVO        X7, X0          \
	SHA256RNDS2 X0, X1, X2      \
	MOVO        X14, X0         \
	SHA256RNDS2 X0, X8, X9      \
	PSHUFD      $0x0E, X7, X0   \
	SHA256RNDS2 X0, X2, X1      \
	PSHUFD      $0x0E, X14, X0  \
	SHA256RNDS2 X0, X9, X8

// Loads four words of each stream.
#define LOAD(at, ma, mb) \
	MOVOU  at(SI), ma  \
	PSHUFB X15, ma     \
	MOVOU  at(DI), mb  \
	PSHUFB X15, mb

// First half of the message schedule: p is four words before m.
#define MIX(pa, ma, pb, mb) \
	SHA256MSG1 ma, pa  \
	SHA256MSG1 mb, pb

// Second half: n becomes the four words behind m; p is those before it.
#define NEXT(pa, ma, na, pb, mb, nb) \
	MOVO       ma, X7       \
	PALIGNR    $4, pa, X7   \
	PADDL      X7, na       \
	SHA256MSG2 ma, na       \
	MOVO       mb, X14      \
	PALIGNR    $4, pb, X14  \
	PADDL      X14, nb      \
	SHA256MSG2 mb, nb

// Rounds amid the schedule.
#define STEP(k, pa, ma, na, pb, mb, nb) \
	ROUNDS(k, ma, mb)             \
	NEXT(pa, ma, na, pb, mb, nb)  \
	MIX(pa, ma, pb, mb)

DATA swap<>+0(SB)/8, $0x0405060700010203
DATA swap<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL swap<>(SB), RODATA|NOPTR, $16

// func blocks(a, b *state, x, y *byte, n int, k *[64]uint32)
TEXT ·blocks(SB), NOSPLIT, $0-48
	MOVQ  a+0(FP), R8
	MOVQ  b+8(FP), R9
	MOVQ  x+16(FP), SI
	MOVQ  y+24(FP), DI
	MOVQ  n+32(FP), CX
	MOVQ  k+40(FP), AX
	MOVOU swap<>(SB), X15
	MOVOU 0(R8), X1
	MOVOU 16(R8), X2
	MOVOU 0(R9), X8
	MOVOU 16(R9), X9

loop:
	LOAD(0, X3, X10)
	ROUNDS(0, X3, X10)
	LOAD(16, X4, X11)
	ROUNDS(16, X4, X11)
	MIX(X3, X4, X10, X11)
	LOAD(32, X5, X12)
	ROUNDS(32, X5, X12)
	MIX(X4, X5, X11, X12)
	LOAD(48, X6, X13)
	STEP(48, X5, X6, X3, X12, X13, X10)
	STEP(64, X6, X3, X4, X13, X10, X11)
	STEP(80, X3, X4, X5, X10, X11, X12)
	STEP(96, X4, X5, X6, X11, X12, X13)
	STEP(112, X5, X6, X3, X12, X13, X10)
	STEP(128, X6, X3, X4, X13, X10, X11)
	STEP(144, X3, X4, X5, X10, X11, X12)
	STEP(160, X4, X5, X6, X11, X12, X13)
	STEP(176, X5, X6, X3, X12, X13, X10)
	STEP(192, X6, X3, X4, X13, X10, X11)
	ROUNDS(208, X4, X11)
	NEXT(X3, X4, X5, X10, X11, X12)
	ROUNDS(224, X5, X12)
	NEXT(X4, X5, X6, X11, X12, X13)
	ROUNDS(240, X6, X13)

	MOVOU 0(R8), X7
	PADDL X7, X1
	MOVOU X1, 0(R8)
	MOVOU 16(R8), X7
	PADDL X7, X2
	MOVOU X2, 16(R8)
	MOVOU 0(R9), X14
	PADDL X14, X8
	MOVOU X8, 0(R9)
	MOVOU 16(R9), X14
	PADDL X14, X9
	MOVOU X9, 16(R9)
	ADDQ  $64, SI
	ADDQ  $64, DI
	DECQ  CX
	JNZ   loop
	RET

// func hasSHA() bool
TEXT ·hasSHA(SB), NOSPLIT, $0-1
	MOVB $0, ret+0(FP)
	XORL AX, AX
	CPUID
	CMPL AX, $7
	JLT  no
	MOVL $1, AX
	XORL CX, CX
	CPUID
	ANDL $(1<<9|1<<19), CX // SSSE3, SSE4.1
	CMPL CX, $(1<<9|1<<19)
	JNE  no
	MOVL $7, AX
	XORL CX, CX
	CPUID
	BTL  $29, BX
	JCC  no
	MOVB $1, ret+0(FP)

no:
	RET
