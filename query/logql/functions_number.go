// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"errors"
	"fmt"
	"math"
	"math/big"
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
		if f := toFloat(v); math.Abs(f) < 1<<63 { // neither infinite nor no number
			return int64(f)
		}
		return 0
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

var errDivision = errors.New("division by zero")

// decimal computes with decimal fractions, so that 0.1 and 0.2 are 0.3.
func decimal(f func(a, b *big.Rat) error) func(a any, v ...any) (float64, error) {
	return func(a any, v ...any) (float64, error) {
		out, err := exact(a)
		if err != nil {
			return 0, err
		}
		for _, x := range v {
			y, err := exact(x)
			if err == nil {
				err = f(out, y)
			}
			if err != nil {
				return 0, err
			}
			if out.Num().BitLen()+out.Denom().BitLen() > maxExact {
				r, _ := out.Float64() // as near as it can be
				if math.IsInf(r, 0) {
					return r, nil
				}
				out.SetFloat64(r)
			}
		}
		r, _ := out.Float64() // the same
		return r, nil
	}
}

// maxExact is how many bits a number may have that is kept as it is.
const maxExact = 8192

// exact is the decimal fraction that a number is written as.
func exact(v any) (*big.Rat, error) {
	f := toFloat(v)
	if out, ok := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64)); ok {
		return out, nil
	}
	return nil, fmt.Errorf("%v is no number to compute with", f)
}

func plus(a, b *big.Rat) error  { a.Add(a, b); return nil }
func minus(a, b *big.Rat) error { a.Sub(a, b); return nil }
func times(a, b *big.Rat) error { a.Mul(a, b); return nil }

// over divides; what does not end is rounded to 16 places.
func over(a, b *big.Rat) error {
	if b.Sign() == 0 {
		return errDivision
	}
	a.SetString(a.Quo(a, b).FloatString(16))
	return nil
}

func divide(a, b any) (int64, error) {
	if toInt64(b) == 0 {
		return 0, errDivision
	}
	return toInt64(a) / toInt64(b), nil
}

func modulo(a, b any) (int64, error) {
	if toInt64(b) == 0 {
		return 0, errDivision
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
