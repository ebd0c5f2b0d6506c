// Go's net/http as programs use it: the proxy and the roots come from the environment.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
)

type result struct {
	Proto  string
	Status int
	Body   string
}

func call(method, url, body string) result {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return result{Body: err.Error()}
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("OPENAI_API_KEY"))
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return result{Body: err.Error()}
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return result{response.Proto, response.StatusCode, string(text)}
}

func main() {
	results := map[string]any{
		"get":    call("GET", "https://api.openai.com/v1/models", ""),
		"post":   call("POST", "https://api.openai.com/v1/embeddings", `{"model":"text-embedding-3-small","input":"`+strings.Repeat("word ", 20000)+`"}`),
		"denied": call("DELETE", "https://api.openai.com/v1/files/file-1", ""),
	}
	var group sync.WaitGroup
	statuses := make([]int, 20)
	for i := range statuses {
		group.Add(1)
		go func() {
			defer group.Done()
			statuses[i] = call("GET", "https://api.openai.com/v1/models", "").Status
		}()
	}
	group.Wait()
	results["many"] = statuses
	text, _ := json.Marshal(results)
	fmt.Println(string(text))
}
