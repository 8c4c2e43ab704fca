package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// results is the folder of what each part measured last. Pages are made of it.
var results = filepath.Join("e2e", "bench", "results")

// keep writes what a part measured.
func keep(dir, name string, part any) error {
	raw, err := json.MarshalIndent(part, "", "  ")
	if err != nil {
		return fmt.Errorf("keep the results of %s: %w", name, err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".json"), append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("keep the results of %s: %w", name, err)
	}
	return nil
}

// kept reads what a part measured, and tells whether it ever did.
func kept(dir, name string, part any) (bool, error) {
	raw, err := os.ReadFile(filepath.Join(dir, name+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, part)
	}
	if err != nil {
		return false, fmt.Errorf("read the results of %s: %w", name, err)
	}
	return true, nil
}

// pageOf makes the page of what is kept.
func pageOf(dir string) (string, error) {
	var r report
	var l labPart
	var f fleetPart
	ok, err := kept(dir, "lab", &l)
	if err != nil {
		return "", err
	}
	if ok {
		r.Lab = &l
	}
	if ok, err = kept(dir, "fleet", &f); err != nil {
		return "", err
	}
	if ok {
		r.Fleet = &f
	}
	return page(r), nil
}
