// Reads documents as kubectl does, with the very library that kubectl uses: the oracle of the YAML reader's tests.
//
// Standard input is a JSON array of base64 texts. Standard output has one JSON line for each: {"json": …} with what
// sigs.k8s.io/yaml makes of it, or {"error": "…"}; {"strict": "…"} is what it says besides if duplicate keys are not
// allowed.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

type answer struct {
	JSON   json.RawMessage `json:"json,omitempty"`
	Error  string          `json:"error,omitempty"`
	Strict string          `json:"strict,omitempty"`
}

func read(text []byte) (result answer) {
	defer func() {
		if broke := recover(); broke != nil {
			result = answer{Error: fmt.Sprint(broke)}
		}
	}()
	converted, err := yaml.YAMLToJSON(text)
	if err != nil {
		return answer{Error: err.Error()}
	}
	if _, err := yaml.YAMLToJSONStrict(text); err != nil {
		return answer{JSON: converted, Strict: err.Error()}
	}
	return answer{JSON: converted}
}

func main() {
	var texts [][]byte
	if err := json.NewDecoder(os.Stdin).Decode(&texts); err != nil {
		panic(err)
	}
	out := json.NewEncoder(os.Stdout)
	for _, text := range texts {
		if err := out.Encode(read(text)); err != nil {
			panic(err)
		}
	}
}
