package cli

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// shapes are all objects that pawl prints.
func shapes() []any {
	return []any{
		exposureObject{}, securityObject{}, trialObject{}, drillObject{},
		accountObject{}, messageObject{}, eventObject{}, conversationObject{}, contactObject{}, safetyNumberObject{},
		linkObject{}, deviceObject{}, statusObject{}, settingsObject{}, explanationObject{}, backupObject{}, recoveryWordsObject{}, groupObject{}, groupInviteObject{}, groupJoinObject{}, serverObject{}, versionObject{}, errorObject{}, demoStepObject{}, scenarioObject{}, verdictObject{}, summaryObject{}, plotObject{}, vectorsObject{}, vectorObject{}, vectorCheckObject{}, recordingObject{}, transcriptObject{}, envelopeObject{}, checkObject{}, proofObject{},
	}
}

func kindOf(shape any) string {
	return strings.TrimSuffix(snake(reflect.TypeOf(shape).Name()), "_object")
}

func snake(s string) string {
	var b strings.Builder
	for i, r := range s {
		if r >= 'A' && r <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// schemaOf makes the JSON Schema of a Go type.
func schemaOf(t reflect.Type, kind string) map[string]any {
	switch t.Kind() {
	case reflect.Pointer:
		s := schemaOf(t.Elem(), "")
		if s["type"] == "object" {
			return map[string]any{"anyOf": []any{s, map[string]any{"type": "null"}}}
		}
		s["type"] = []any{s["type"], "null"}
		return s
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem(), "")}
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return map[string]any{"type": "object"}
		}
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem(), "")}
	case reflect.Struct:
		properties, required := map[string]any{}, []any{}
		var add func(t reflect.Type)
		add = func(t reflect.Type) {
			for i := range t.NumField() {
				f := t.Field(i)
				if f.Anonymous {
					add(f.Type)
					continue
				}
				name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
				s := schemaOf(f.Type, "")
				s["description"] = f.Tag.Get("doc")
				if words := f.Tag.Get("enum"); words != "" {
					var list []any
					for w := range strings.SplitSeq(words, ",") {
						list = append(list, w)
					}
					s["enum"] = list
				}
				properties[name] = s
				if !strings.Contains(options, "omitempty") {
					required = append(required, name)
				}
			}
		}
		add(t)
		if kind != "" {
			properties["schema"].(map[string]any)["const"] = "pawl." + kind + "/1"
			properties["type"].(map[string]any)["const"] = kind
		}
		return map[string]any{"type": "object", "properties": properties, "required": required}
	}
	panic("no schema for " + t.String())
}

func encodeSchema(shape any) []byte {
	kind := kindOf(shape)
	s := schemaOf(reflect.TypeOf(shape), kind)
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "pawl." + kind + "/1"
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// R-CLI-04
func TestR_CLI_04_SchemasAreGolden(t *testing.T) {
	for _, shape := range shapes() {
		file := filepath.Join("schema", kindOf(shape)+".json")
		made := encodeSchema(shape)
		if *update {
			if err := os.WriteFile(file, made, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		kept, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(kept, made) {
			t.Errorf("%s differs from the struct; a change that breaks scripts needs a new version, else run the test with -update", file)
		}
		if strings.Contains(string(made), `"description": ""`) {
			t.Errorf("%s: a field has no description", file)
		}
	}
	files, _ := filepath.Glob("schema/*.json")
	if len(files) != len(shapes()) {
		t.Errorf("%d schema files for %d objects", len(files), len(shapes()))
	}
}

// validate holds value against the small part of JSON Schema that schemaOf uses.
func validate(path string, schema map[string]any, value any) error {
	if choices, ok := schema["anyOf"].([]any); ok {
		var err error
		for _, s := range choices {
			if err = validate(path, s.(map[string]any), value); err == nil {
				return nil
			}
		}
		return err
	}
	kinds, ok := schema["type"].([]any)
	if !ok {
		kinds = []any{schema["type"]}
	}
	kind := "null"
	switch v := value.(type) {
	case string:
		kind = "string"
	case bool:
		kind = "boolean"
	case float64:
		kind = "number"
		if v == float64(int64(v)) {
			kind = "integer"
		}
	case []any:
		kind = "array"
		for i, e := range v {
			if err := validate(fmt.Sprintf("%s[%d]", path, i), schema["items"].(map[string]any), e); err != nil {
				return err
			}
		}
	case map[string]any:
		kind = "object"
		properties, fixed := schema["properties"].(map[string]any)
		for name, e := range v {
			s, known := properties[name].(map[string]any)
			if !known {
				s, known = schema["additionalProperties"].(map[string]any)
			}
			if !known && fixed {
				return fmt.Errorf("%s.%s is not in the schema", path, name)
			}
			if known {
				if err := validate(path+"."+name, s, e); err != nil {
					return err
				}
			}
		}
		if required, ok := schema["required"].([]any); ok {
			for _, name := range required {
				if _, there := v[name.(string)]; !there {
					return fmt.Errorf("%s.%s is missing", path, name)
				}
			}
		}
	}
	if !slices.Contains(kinds, any(kind)) {
		return fmt.Errorf("%s is of kind %s, want %v", path, kind, kinds)
	}
	if c, ok := schema["const"]; ok && c != value {
		return fmt.Errorf("%s is %v, want %v", path, value, c)
	}
	if words, ok := schema["enum"].([]any); ok && !slices.Contains(words, value) {
		return fmt.Errorf("%s is %v, want one of %v", path, value, words)
	}
	return nil
}

// CheckObject validates a line by the golden schema of its kind.
func CheckObject(kind string, line []byte) error {
	file, err := os.ReadFile(filepath.Join("schema", kind+".json"))
	if err != nil {
		return err
	}
	var schema map[string]any
	if err := json.Unmarshal(file, &schema); err != nil {
		return err
	}
	var value any
	if err := json.Unmarshal(line, &value); err != nil {
		return err
	}
	return validate(kind, schema, value)
}
