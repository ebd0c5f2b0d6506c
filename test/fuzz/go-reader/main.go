// Command go-reader says how Go's net/http reads the bytes of a connection.
//
// One JSON case a line on standard input, one JSON reading a line on standard output, in the same order. Text is Latin-1, one
// character a byte. Go sorts fields into a map: names come out in lower case, the values of a name in order.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

type wireCase struct {
	Direction string   `json:"direction"`
	Methods   []string `json:"methods"`
	Raw       string   `json:"raw"` // base64
}

type message struct {
	Line      string              `json:"line"`
	Host      string              `json:"host"`
	Fields    map[string][]string `json:"fields"`
	Body      string              `json:"body"`
	Trailers  map[string][]string `json:"trailers"`
	KeepAlive bool                `json:"keepAlive"`
	IsWhole   bool                `json:"isWhole"`
}

type reading struct {
	Messages []*message `json:"messages"`
	Refusal  *string    `json:"refusal"`
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			out.Flush()
			return
		}
		var wire wireCase
		if err := json.Unmarshal(line, &wire); err != nil {
			fmt.Fprintln(os.Stderr, "go-reader: a line is no case:", err)
			os.Exit(1)
		}
		if err := encoder.Encode(read(wire)); err != nil {
			os.Exit(1)
		}
		if in.Buffered() == 0 {
			out.Flush()
		}
	}
}

func read(wire wireCase) reading {
	raw, err := base64.StdEncoding.DecodeString(wire.Raw)
	if err != nil {
		return refused(nil, err)
	}
	bytes := bufio.NewReader(strings.NewReader(string(raw)))
	messages := []*message{}
	methods := wire.Methods
	for {
		if _, err := bytes.Peek(1); err != nil {
			return reading{Messages: messages}
		}
		var next *message
		var body io.ReadCloser
		var trailer func() http.Header
		if wire.Direction == "request" {
			request, err := http.ReadRequest(bytes)
			if err != nil {
				return refused(messages, err)
			}
			next = &message{
				Line:      latin1(fmt.Sprintf("%s %s %d.%d", request.Method, request.RequestURI, request.ProtoMajor, request.ProtoMinor)),
				Host:      latin1(request.Host),
				Fields:    fieldsOf(request.Header),
				KeepAlive: !request.Close,
			}
			body, trailer = request.Body, func() http.Header { return request.Trailer }
		} else {
			if len(methods) == 0 {
				return reading{Messages: messages}
			}
			response, err := http.ReadResponse(bytes, &http.Request{Method: methods[0]})
			if err != nil {
				return refused(messages, err)
			}
			reason := strings.TrimPrefix(response.Status, fmt.Sprintf("%03d", response.StatusCode))
			next = &message{
				Line:      latin1(fmt.Sprintf("%d.%d %d%s", response.ProtoMajor, response.ProtoMinor, response.StatusCode, reason)),
				Fields:    fieldsOf(response.Header),
				KeepAlive: !response.Close,
			}
			if response.StatusCode >= 200 || response.StatusCode == 101 {
				methods = methods[1:]
			}
			body, trailer = response.Body, func() http.Header { return response.Trailer }
		}
		messages = append(messages, next)
		content, err := io.ReadAll(body)
		next.Body = latin1(string(content))
		if err != nil {
			return refused(messages, err)
		}
		next.Trailers = fieldsOf(trailer())
		next.IsWhole = true
	}
}

// An end within a message is no refusal: more might have come.
func refused(messages []*message, err error) reading {
	if messages == nil {
		messages = []*message{}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return reading{Messages: messages}
	}
	text := latin1(err.Error())
	return reading{Messages: messages, Refusal: &text}
}

func fieldsOf(header http.Header) map[string][]string {
	fields := map[string][]string{}
	for name, values := range header {
		key := latin1(strings.ToLower(name))
		for _, value := range values {
			fields[key] = append(fields[key], latin1(value))
		}
	}
	return fields
}

func latin1(text string) string {
	runes := make([]rune, len(text))
	for i := 0; i < len(text); i++ {
		runes[i] = rune(text[i])
	}
	return string(runes)
}
