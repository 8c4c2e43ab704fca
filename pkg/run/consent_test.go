package run

import (
	"context"
	"testing"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/ui"
)

func TestConsent(t *testing.T) {
	t.Parallel()
	changes := ui.PlanView{Items: make([]ui.PlanItem, 2)}
	answer := func(yes bool, err error) func(context.Context, ui.PlanView) (bool, error) {
		return func(context.Context, ui.PlanView) (bool, error) { return yes, err }
	}
	tests := []struct {
		name    string
		view    ui.PlanView
		yes     bool
		confirm func(context.Context, ui.PlanView) (bool, error)
		kind    diag.Kind
		hint    string
	}{
		{name: "nothing to agree to"},
		{name: "agreed beforehand", view: changes, yes: true},
		{name: "nobody to ask", view: changes, kind: diag.Consent, hint: "look at them with `kforge plan lab.yaml`, then add --yes"},
		{name: "yes", view: changes, confirm: answer(true, nil)},
		{name: "no", view: changes, confirm: answer(false, nil), kind: diag.Consent},
		{name: "interrupted at the question", view: changes, confirm: answer(false, context.Canceled), kind: diag.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &session{command: "apply", view: tt.view, env: &Env{Confirm: tt.confirm}, options: Options{Inventory: "lab.yaml", Yes: tt.yes}}
			err := s.consent(t.Context())
			if diag.KindOf(err) != tt.kind || diag.Hint(err) != tt.hint {
				t.Errorf("consent = %v (%q) with the hint %q, want %q and %q", err, diag.KindOf(err), diag.Hint(err), tt.kind, tt.hint)
			}
			if tt.kind == "" && err != nil {
				t.Errorf("consent = %v", err)
			}
		})
	}
}
