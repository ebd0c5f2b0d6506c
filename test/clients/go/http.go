package main

import (
	"bufio"
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
)

type result struct {
	Proto  string
	Status int
	Body   string
	Events int
}

func send(method, url, kind string, body io.Reader, headers map[string]string) result {
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		return result{Body: err.Error()}
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("OPENAI_API_KEY"))
	request.Header.Set("Content-Type", kind)
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return result{Body: err.Error()}
	}
	defer response.Body.Close()
	events := 0
	var text strings.Builder
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "data: ") {
			events++
		}
		text.WriteString(lines.Text() + "\n")
	}
	return result{response.Proto, response.StatusCode, text.String(), events}
}

func form(size int) (string, []byte) {
	var body bytes.Buffer
	writer := multipart.NewWriter(&body)
	writer.WriteField("purpose", "assistants")
	file, _ := writer.CreateFormFile("file", "zero.bin")
	file.Write(make([]byte, size))
	writer.Close()
	return writer.FormDataContentType(), body.Bytes()
}

func callHTTP() map[string]any {
	const api = "https://api.openai.com/v1"
	chat := `{"model":"gpt-5","stream":true,"messages":[{"role":"user","content":"hello"}]}`
	waits := map[string]string{"Expect": "100-continue"}
	kind, body := form(2_000_000)
	// Of this reader Go does not know the length.
	unknown := io.MultiReader(bytes.NewReader(body))
	return map[string]any{
		"get":     send("GET", api+"/models", "", nil, nil),
		"stream":  send("POST", api+"/chat/completions", "application/json", strings.NewReader(chat), nil),
		"upload":  send("POST", api+"/files", kind, bytes.NewReader(body), waits),
		"chunked": send("POST", api+"/files", kind, unknown, nil),
		"denied":  send("DELETE", api+"/files/file-1", "", nil, nil),
		"unknown": send("GET", "https://example.org/", "", nil, nil),
	}
}
