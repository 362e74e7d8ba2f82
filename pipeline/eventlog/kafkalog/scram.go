package kafkalog

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/segmentio/kafka-go/sasl"
	"golang.org/x/text/unicode/norm"
)

// maxIterations bounds the work that a server may ask for; Kafka's own limit is 16,384.
const maxIterations = 1 << 20

// scramMechanism is SASL SCRAM (RFC 5802, RFC 7677): the broker proves that it knows us, as we do to it,
// and the password is never sent.
type scramMechanism struct {
	name           string
	hash           func() hash.Hash
	user, password string
	nonce          func() string // of the client
}

func newScram(mechanism, user, password string) *scramMechanism {
	m := &scramMechanism{
		name: strings.ToUpper(mechanism), hash: sha256.New, nonce: rand.Text,
		// The heart of SASLprep (RFC 4013): one form for what looks the same.
		user: norm.NFKC.String(user), password: norm.NFKC.String(password),
	}
	if mechanism == "scram-sha-512" {
		m.hash = sha512.New
	}
	return m
}

// Name is the mechanism's name in the SASL registry.
func (m *scramMechanism) Name() string { return m.name }

// Start returns a new exchange and the client's first message (RFC 5802 §5).
func (m *scramMechanism) Start(context.Context) (sasl.StateMachine, []byte, error) {
	user := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(m.user)
	x := &scramExchange{scramMechanism: m, clientNonce: m.nonce()}
	x.firstBare = "n=" + user + ",r=" + x.clientNonce
	return x, []byte(noBinding + x.firstBare), nil
}

const noBinding = "n,," // GS2 header: no channel binding, no other identity

type scramExchange struct {
	*scramMechanism
	clientNonce, firstBare string
	serverSignature        []byte // once our proof is sent
}

// Next answers the server's first message, and checks its last one.
func (x *scramExchange) Next(_ context.Context, challenge []byte) (done bool, response []byte, err error) {
	fields := map[byte]string{}
	for field := range strings.SplitSeq(string(challenge), ",") {
		if len(field) >= 2 && field[1] == '=' {
			fields[field[0]] = field[2:]
		}
	}
	if reason, ok := fields['e']; ok {
		return false, nil, fmt.Errorf("broker refuses the user or password: %.100q", reason)
	}
	if x.serverSignature != nil {
		signature, err := base64.StdEncoding.DecodeString(fields['v'])
		if err != nil || !hmac.Equal(signature, x.serverSignature) {
			return false, nil, errors.New("the broker does not know our password: it is not who it says")
		}
		return true, nil, nil
	}
	nonce := fields['r']
	salt, err := base64.StdEncoding.DecodeString(fields['s'])
	iterations, ierr := strconv.Atoi(fields['i'])
	if err != nil || ierr != nil || iterations < 1 || iterations > maxIterations || len(salt) == 0 ||
		!strings.HasPrefix(nonce, x.clientNonce) || len(nonce) == len(x.clientNonce) {
		return false, nil, errors.New("broker's SCRAM message cannot be read")
	}
	salted, err := pbkdf2.Key(x.hash, x.password, salt, iterations, x.hash().Size())
	if err != nil {
		return false, nil, err
	}
	withoutProof := "c=" + base64.StdEncoding.EncodeToString([]byte(noBinding)) + ",r=" + nonce
	signed := x.firstBare + "," + string(challenge) + "," + withoutProof
	clientKey := x.mac(salted, "Client Key")
	stored := x.hash()
	stored.Write(clientKey)
	proof := x.mac(stored.Sum(nil), signed)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	x.serverSignature = x.mac(x.mac(salted, "Server Key"), signed)
	return false, []byte(withoutProof + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

func (x *scramExchange) mac(key []byte, message string) []byte {
	h := hmac.New(x.hash, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}
