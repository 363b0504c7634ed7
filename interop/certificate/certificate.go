// Package certificate makes the certificate of a coordinator on this machine.
package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"time"
)

// SelfSigned makes a certificate of localhost, and writes it to a file if one is named.
func SelfSigned(file string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		DNSNames:     []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		return tls.Certificate{}, err
	}
	pair := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	if file == "" {
		return pair, nil
	}
	// Under another name until it is whole: whoever waits for it reads it at once.
	if err := os.WriteFile(file+".new", text.Bytes(), 0o600); err != nil {
		return tls.Certificate{}, err
	}
	if err := os.Rename(file+".new", file); err != nil {
		return tls.Certificate{}, err
	}
	return pair, nil
}
