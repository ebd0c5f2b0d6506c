// A Workload API by SPIFFE's own Go library, with certificates and tokens that Go makes: nothing in it is ours.
//
// Prints one line of JSON with what a caller of the trust domain holds, then serves until its standard input ends.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const domain = "go.test"

type server struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	svid *workload.X509SVID
	root []byte
	jwks []byte
}

func allowed(stream grpc.ServerStream) error {
	headers, _ := metadata.FromIncomingContext(stream.Context())
	if values := headers.Get("workload.spiffe.io"); len(values) != 1 || values[0] != "true" {
		return status.Error(codes.InvalidArgument, "security header missing from request")
	}
	return nil
}

func (s *server) FetchX509SVID(_ *workload.X509SVIDRequest, stream workload.SpiffeWorkloadAPI_FetchX509SVIDServer) error {
	if err := allowed(stream); err != nil {
		return err
	}
	must(stream.Send(&workload.X509SVIDResponse{Svids: []*workload.X509SVID{s.svid}}))
	<-stream.Context().Done()
	return nil
}

func (s *server) FetchX509Bundles(_ *workload.X509BundlesRequest, stream workload.SpiffeWorkloadAPI_FetchX509BundlesServer) error {
	if err := allowed(stream); err != nil {
		return err
	}
	must(stream.Send(&workload.X509BundlesResponse{Bundles: map[string][]byte{"spiffe://" + domain: s.root}}))
	<-stream.Context().Done()
	return nil
}

func (s *server) FetchJWTBundles(_ *workload.JWTBundlesRequest, stream workload.SpiffeWorkloadAPI_FetchJWTBundlesServer) error {
	if err := allowed(stream); err != nil {
		return err
	}
	must(stream.Send(&workload.JWTBundlesResponse{Bundles: map[string][]byte{"spiffe://" + domain: s.jwks}}))
	<-stream.Context().Done()
	return nil
}

type holder struct {
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	Token       string `json:"token"`
}

func main() {
	rootKey, root := authority()
	proxyKey, proxy := leaf("/proxy", rootKey, root)
	agentKey, agent := leaf("/agent", rootKey, root)
	tokenKey := newKey()
	keys := jwtbundle.New(spiffeid.RequireTrustDomainFromString(domain))
	must(keys.AddJWTAuthority("go-1", tokenKey.Public()))
	jwks, err := keys.Marshal()
	must(err)

	listener, err := net.Listen("unix", os.Args[1])
	must(err)
	api := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(api, &server{
		svid: &workload.X509SVID{
			SpiffeId: "spiffe://" + domain + "/proxy", X509Svid: proxy, X509SvidKey: pkcs8(proxyKey), Bundle: root.Raw,
		},
		root: root.Raw,
		jwks: jwks,
	})
	go func() { must(api.Serve(listener)) }()

	must(json.NewEncoder(os.Stdout).Encode(holder{
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: agent})),
		Key:         string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8(agentKey)})),
		Token:       token(tokenKey),
	}))
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func authority() (*ecdsa.PrivateKey, *x509.Certificate) {
	key := newKey()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: domain},
		URIs:                  []*url.URL{id("")},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(time.Hour),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(err)
	parsed, err := x509.ParseCertificate(der)
	must(err)
	return key, parsed
}

func leaf(path string, rootKey *ecdsa.PrivateKey, root *x509.Certificate) (*ecdsa.PrivateKey, []byte) {
	key := newKey()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(err)
	template := &x509.Certificate{
		SerialNumber:          serial,
		URIs:                  []*url.URL{id(path)},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, root, key.Public(), rootKey)
	must(err)
	return key, der
}

func token(key *ecdsa.PrivateKey) string {
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", "go-1")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	must(err)
	text, err := jwt.Signed(signer).Claims(jwt.Claims{
		Subject:  id("/agent").String(),
		Audience: jwt.Audience{"countersign"},
		IssuedAt: jwt.NewNumericDate(time.Now()),
		Expiry:   jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}).Serialize()
	must(err)
	return text
}

func id(path string) *url.URL {
	return &url.URL{Scheme: "spiffe", Host: domain, Path: path}
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	return key
}

func pkcs8(key crypto.PrivateKey) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	return der
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
