// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"fmt"
	"math"
	"strconv"
)

func toFloat(v any) float64 {
	switch v := v.(type) {
	case string:
		f, _ := strconv.ParseFloat(v, 64) // what is no number is 0
		return f
	case float64:
		return v
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case bool:
		if v {
			return 1
		}
	}
	return 0
}

func toInt64(v any) int64 {
	switch v := v.(type) {
	case string:
		if n, err := strconv.ParseInt(v, 0, 64); err == nil {
			return n
		}
		return int64(toFloat(v))
	case int:
		return int64(v)
	case int64:
		return v
	case float64:
		return int64(v)
	}
	return int64(toFloat(v))
}

func toInt(v any) int { return int(toInt64(v)) }

func fold(v []any, f func(a, b int64) int64) int64 {
	if len(v) == 0 {
		return 0
	}
	out := toInt64(v[0])
	for _, x := range v[1:] {
		out = f(out, toInt64(x))
	}
	return out
}

func foldf(v []any, f func(a, b float64) float64) float64 {
	if len(v) == 0 {
		return 0
	}
	out := toFloat(v[0])
	for _, x := range v[1:] {
		out = f(out, toFloat(x))
	}
	return out
}

func divide(a, b any) (int64, error) {
	if toInt64(b) == 0 {
		return 0, fmt.Errorf("division by zero")
	}
	return toInt64(a) / toInt64(b), nil
}

func modulo(a, b any) (int64, error) {
	if toInt64(b) == 0 {
		return 0, fmt.Errorf("division by zero")
	}
	return toInt64(a) % toInt64(b), nil
}

func round(v any, digits int, on ...float64) float64 {
	half := 0.5
	if len(on) > 0 {
		half = on[0]
	}
	f := toFloat(v)
	power := math.Pow(10, float64(digits))
	scaled := power * f
	_, rest := math.Modf(scaled)
	if f >= 0 && rest >= half || f < 0 && rest > -half {
		return math.Ceil(scaled) / power
	}
	return math.Floor(scaled) / power
}
