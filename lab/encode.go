package lab

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// encode writes a scenario as a file that Parse reads as the same scenario.
func (s *Scenario) encode() ([]byte, error) {
	b, err := toml.Marshal(table(reflect.ValueOf(s).Elem()))
	if err != nil {
		return nil, fmt.Errorf("%w: it cannot be written as a file", ErrScenario)
	}
	again, err := Parse(b)
	if err != nil {
		return nil, err
	}
	second, err := toml.Marshal(table(reflect.ValueOf(again).Elem()))
	if err != nil || string(second) != string(b) {
		return nil, fmt.Errorf("%w: it cannot be written as a file", ErrScenario)
	}
	return b, nil
}

// table is a struct as a table of TOML, without what it leaves out: nothing is
// expected of a field that is nil, and something of one that is empty.
func table(v reflect.Value) map[string]any {
	out := map[string]any{}
	for i := range v.NumField() {
		f := v.Field(i)
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("toml"), ",")
		given := !f.IsZero()
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		switch {
		case !given || name == "":
		case f.Kind() == reflect.Struct:
			out[name] = table(f)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			rows := []map[string]any{}
			for k := range f.Len() {
				rows = append(rows, table(f.Index(k)))
			}
			out[name] = rows
		default:
			out[name] = f.Interface()
		}
	}
	return out
}
