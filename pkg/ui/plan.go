package ui

import (
	"io"

	"kforge.dev/kforge/pkg/spec"
)

// PlanItem is one change that a plan makes.
type PlanItem struct {
	Host   string // "" is the cluster
	Step   string
	Title  string // of the step
	Change spec.Change
}

// PlanView is a plan to be shown, in the order in which it would be applied.
type PlanView struct {
	Items []PlanItem
	Hosts int // in the inventory
}

// Plan shows a plan to a person.
func Plan(w io.Writer, v PlanView, o Options) error { return plan(w, v, o) }

// MarshalJSON gives the plan to programs:
// {"changes":[{"host":..,"step":..,"change":{...}}],"summary":{...}}.
func (v PlanView) MarshalJSON() ([]byte, error) { return planJSON(v) }
