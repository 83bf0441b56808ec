// Verifies a PKCS #7 signature of the identity document as HashiCorp Vault does when an instance logs
// in: Vault wraps the text that IMDS serves into PEM, parses it with its copy of fullsailor/pkcs7, and
// verifies it with a certificate that it knows. Go no longer verifies DSA signatures, so Vault's copy has
// a check of its own. This program uses the library itself, and then checks DSA signatures in the same
// way.
//
// main CERTIFICATE SIGNATURE: prints the document that the file SIGNATURE has, if the certificate
// verifies it.
package main

import (
	"bytes"
	"crypto"
	"crypto/dsa"
	_ "crypto/sha1"
	_ "crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"

	"github.com/fullsailor/pkcs7"
)

func parse(signature []byte, certificate []byte) (*pkcs7.PKCS7, *x509.Certificate, error) {
	text := "-----BEGIN PKCS7-----\n" + string(signature) + "\n-----END PKCS7-----"
	block, rest := pem.Decode([]byte(text))
	if block == nil || len(bytes.TrimSpace(rest)) != 0 {
		return nil, nil, errors.New("the signature is not PEM without its first and last line")
	}
	message, err := pkcs7.Parse(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("parsing the signature: %w", err)
	}
	if block, _ = pem.Decode(certificate); block == nil {
		return nil, nil, errors.New("the certificate is not PEM")
	}
	known, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("parsing the certificate: %w", err)
	}
	message.Certificates = []*x509.Certificate{known}
	return message, known, nil
}

// attributes returns what the signature signs: the signed attributes as a SET.
func attributes(message *pkcs7.PKCS7) ([]byte, error) {
	signed, err := asn1.Marshal(struct {
		Attributes any `asn1:"set"`
	}{message.Signers[0].AuthenticatedAttributes})
	if err != nil {
		return nil, err
	}
	var sequence asn1.RawValue
	_, err = asn1.Unmarshal(signed, &sequence)
	return sequence.Bytes, err
}

func verifyDSA(message *pkcs7.PKCS7, certificate *x509.Certificate) error {
	key, isDSA := certificate.PublicKey.(*dsa.PublicKey)
	if !isDSA {
		return errors.New("the key of the certificate is not a DSA key")
	}
	signer := message.Signers[0]
	algorithm := crypto.SHA1
	if signer.DigestAlgorithm.Algorithm.Equal(pkcs7.OIDDigestAlgorithmSHA256) {
		algorithm = crypto.SHA256
	}
	signed, err := attributes(message)
	if err != nil {
		return fmt.Errorf("the signed attributes: %w", err)
	}
	hash := algorithm.New()
	hash.Write(signed)
	digest := hash.Sum(nil)
	if length := key.Q.BitLen() / 8; length < len(digest) {
		digest = digest[:length]
	}
	var signature struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(signer.EncryptedDigest, &signature); err != nil || len(rest) != 0 {
		return fmt.Errorf("the DSA signature has %d bytes too many: %w", len(rest), err)
	}
	if !dsa.Verify(key, digest, signature.R, signature.S) {
		return errors.New("the DSA signature is wrong")
	}
	return nil
}

func document(certificateFile, signatureFile string) ([]byte, error) {
	certificate, err := os.ReadFile(certificateFile)
	if err != nil {
		return nil, err
	}
	signature, err := os.ReadFile(signatureFile)
	if err != nil {
		return nil, err
	}
	message, known, err := parse(signature, certificate)
	if err != nil {
		return nil, err
	}
	// Before it gives up on DSA, the library has found the certificate of the signer by issuer and
	// serial number, and compared the digest of the document with the signed one.
	err = message.Verify()
	if errors.Is(err, x509.ErrUnsupportedAlgorithm) {
		err = verifyDSA(message, known)
	}
	if err != nil {
		return nil, fmt.Errorf("verifying the signature: %w", err)
	}
	return message.Content, nil
}

func main() {
	content, err := document(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Stdout.Write(content)
}
