// Package errlist collects the errors of one input, so that a person sees all
// of them at once and in the order of the file. It is apart from diag to keep
// its library out of the program that runs on hosts.
package errlist

import (
	"errors"
	"sort"

	"github.com/hashicorp/go-multierror"

	"kforge.dev/kforge/pkg/diag"
)

// List collects errors of one input, so that a user sees all of them at once.
// The zero value is ready to use.
type List struct{ merr *multierror.Error }

// Add appends err unless it is nil.
func (l *List) Add(err error) {
	if err != nil {
		l.merr = multierror.Append(l.merr, err)
	}
}

// Err returns nil when nothing was added, else an error that holds all, sorted
// by position and, where positions are equal, in the order they were added.
func (l *List) Err() error {
	if l.merr == nil {
		return nil
	}
	sort.SliceStable(l.merr.Errors, func(i, j int) bool {
		return before(position(l.merr.Errors[i]), position(l.merr.Errors[j]))
	})
	return l.merr.ErrorOrNil()
}

// Len tells how many errors were added.
func (l *List) Len() int {
	if l.merr == nil {
		return 0
	}
	return len(l.merr.Errors)
}

// Placeless takes the positions off errors: they are in a text that no file
// holds.
func Placeless(err error) error {
	var out []error
	for _, e := range Flatten(err) {
		d := *diag.From(e)
		d.Pos = diag.Position{}
		out = append(out, &d)
	}
	return errors.Join(out...)
}

// Flatten gives the single errors inside err, in order: those of a List or of
// errors.Join at any depth, or err itself.
func Flatten(err error) []error {
	if err == nil {
		return nil
	}
	var many interface{ WrappedErrors() []error }
	if errors.As(err, &many) {
		return flattenAll(many.WrappedErrors())
	}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return flattenAll(joined.Unwrap())
	}
	return []error{err}
}

func flattenAll(errs []error) []error {
	var out []error
	for _, e := range errs {
		out = append(out, Flatten(e)...)
	}
	return out
}

func position(err error) diag.Position {
	var d *diag.Error
	if errors.As(err, &d) {
		return d.Pos
	}
	return diag.Position{}
}

func before(a, b diag.Position) bool {
	if a.File != b.File {
		return a.File < b.File
	}
	if a.Line != b.Line {
		return a.Line < b.Line
	}
	return a.Col < b.Col
}
