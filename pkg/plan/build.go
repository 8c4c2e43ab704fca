package plan

// Build gives the steps that bring the hosts and the cluster to what the
// inventory asks for.
func Build(in Input) (*Plan, error) {
	return &Plan{}, nil
}
