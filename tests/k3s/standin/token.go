package main

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Token is K10<hash of the authority>::<user>:<secret>, or the secret alone.
type Token struct{ hash, secret string }

func parseToken(text string) Token {
	rest, full := strings.CutPrefix(text, "K10")
	if !full {
		return Token{secret: text}
	}
	hash, credentials, ok := strings.Cut(rest, "::")
	if ok && hash != "" && len(hash) != 2*sha256.Size {
		fatal("invalid token CA hash length")
	}
	_, secret, both := strings.Cut(credentials, ":")
	if !ok || !both || secret == "" {
		fatal("invalid token format")
	}
	return Token{hash, secret}
}

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func formatToken(authority []byte, user, secret string) []byte {
	return fmt.Appendf(nil, "K10%s::%s:%s\n", hashOf(authority), user, secret)
}

func newSecret() string {
	bytes := make([]byte, 16)
	_, err := rand.Read(bytes)
	check(err)
	return hex.EncodeToString(bytes)
}

// Server is how a node talks to the supervisor of a server that it joins.
type Server struct {
	url, user, secret string
	client            *http.Client
}

// meet trusts the authority that the server shows if the token has its hash, or none.
func meet(address, user string, token Token) Server {
	if token.secret == "" {
		fatal("--token is required to join %s", address)
	}
	if !strings.HasPrefix(address, "https://") {
		fatal("only https:// URLs are supported, invalid scheme: %s", address)
	}
	address = strings.TrimRight(address, "/")
	var authority []byte
	blind := Server{address, "", "", newHTTP(&tls.Config{InsecureSkipVerify: true})}
	until("the server "+address, func() (err error) {
		authority, err = blind.ask("/cacerts", nil)
		return err
	})
	if hash := hashOf(authority); token.hash != "" && token.hash != hash {
		fatal("token CA hash does not match the Cluster CA certificate hash: %s != %s", token.hash, hash)
	}
	return Server{address, user, token.secret, newHTTP(&tls.Config{RootCAs: pool(authority)})}
}

func newHTTP(config *tls.Config) *http.Client {
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	return &http.Client{Timeout: 20 * time.Second, Transport: transport}
}

// Refused is an answer that asking again won't change.
type Refused string

func (r Refused) Error() string { return string(r) }

func (s Server) ask(path string, query url.Values) ([]byte, error) {
	where := s.url + path
	request, err := http.NewRequest(http.MethodGet, where+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	if s.user != "" {
		request.SetBasicAuth(s.user, s.secret)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode == http.StatusUnauthorized:
		return nil, Refused(where + ": " + response.Status)
	case response.StatusCode == http.StatusForbidden || response.StatusCode == http.StatusBadRequest:
		return nil, Refused(where + ": " + response.Status + ": " + strings.TrimSpace(string(text)))
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %s: %s", where, response.Status, text)
	}
	return text, nil
}

// demand asks until there is an answer, and reads it into what it is for.
func (s Server) demand(path string, query url.Values, answer any) {
	until("an answer to "+path, func() error {
		text, err := s.ask(path, query)
		if refused, ok := err.(Refused); ok {
			fatal("%s", refused)
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(text, answer)
	})
}
